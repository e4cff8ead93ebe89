"""The bodies of requests, which can be sent more than once: bytes, a file, or JSON."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from panopticon_client.errors import Unreadable

Image = bytes | bytearray | memoryview | str | os.PathLike[str]
"""The bytes of an image; the path of a file; or a URI, which is a text with `://` in it."""


class Reader(Protocol):
    """The part of a file that is needed to send it."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A body that is being sent."""

    reader: Reader
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body in memory."""

    content: bytes
    content_type: str

    @contextmanager
    def open(self) -> Iterator[Opened]:
        yield Opened(reader=io.BytesIO(self.content), length_bytes=len(self.content))


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A body that is read from a file while it is sent, so that it is never in memory as a whole."""

    path: str
    content_type: str = "application/octet-stream"

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Raises: Unreadable."""
        try:
            # A pipe without a writer would hold the call for good.
            file = io.FileIO(os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
        except OSError as error:
            raise Unreadable(f"{self.path}: {error.strerror}") from None
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(f"{self.path}: not a regular file")
            reader = _FileReader(file, self.path, status.st_size)
            yield Opened(reader=reader, length_bytes=status.st_size)


class _FileReader:
    """Reads as many bytes as were announced, so that a file that grows cannot spoil the connection."""

    def __init__(self, file: io.FileIO, path: str, left_bytes: int) -> None:
        self._file = file
        self._path = path
        self._left_bytes = left_bytes

    def read(self, size: int, /) -> bytes:
        if not self._left_bytes:
            return b""
        try:
            chunk = self._file.read(min(size, self._left_bytes)) or b""
        except OSError as error:
            # Not an OSError: that would look like a failure of the connection.
            raise Unreadable(f"{self._path}: {error.strerror}") from None
        if not chunk:
            raise Unreadable(f"{self._path}: became shorter while it was being sent")
        self._left_bytes -= len(chunk)
        return chunk


Body = Content | File


def body_of(image: Image) -> Body:
    """Return the body of a request for the analysis of one image."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return Content(content=bytes(image), content_type="application/octet-stream")
    if isinstance(image, str) and "://" in image:
        return Content(content=json.dumps({"uri": image}).encode(), content_type="application/json")
    return File(path=os.fspath(image))
