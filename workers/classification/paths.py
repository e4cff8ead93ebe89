"""The paths of photos as they arrive: one a line, or each ended by a NUL. A bad line never ends the list."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from panopticon.errors import Rejected, UsageError

MAX_PATH_BYTES = 64 * 1024
"""A longer line is not a path on any system; only its beginning is kept."""
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLine:
    """One line of the list."""

    path: bytes
    error: Rejected | None = None
    """The reason why the line holds no path; None if it does."""


class ByteSource(Protocol):
    """Bytes that arrive at their own pace."""

    def read(self, *, wait_s: float) -> bytes | None:
        """Return the next bytes, waiting up to `wait_s` for them; None if none came, empty at the end."""


class StandardInput:
    """The bytes of a descriptor, read without a thread or a buffer that could hold one of them back."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def read(self, *, wait_s: float) -> bytes | None:
        """Return bytes as ByteSource does. Raises: UsageError if none can be read, as from a folder."""
        try:
            if not self._poll.poll(wait_s * 1000):
                return None
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise UsageError(f"standard input: {error.strerror}; give it a list of paths") from None


class OpenStream:
    """The bytes of a stream that has no descriptor, and never waits."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, *, wait_s: float) -> bytes | None:  # noqa: ARG002
        """Return bytes as ByteSource does."""
        return self._stream.read(_READ_BYTES)


class GivenPaths:
    """A list of paths that is there as a whole."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._lines = deque(map(_line, paths))

    @property
    def ended(self) -> bool:
        """Return whether all of them were taken."""
        return not self._lines

    def take(self, most: int, *, wait_s: float) -> list[PathLine]:  # noqa: ARG002
        """Return up to `most` lines."""
        return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]


class ArrivingPaths:
    """The paths of a byte source, which is read only as far as they are taken."""

    def __init__(self, source: ByteSource, *, null: bool) -> None:
        """`null`: a NUL ends each path, which may hold any other byte; otherwise LF or CR LF ends it."""
        self._source = source
        self._null = null
        self._end = b"\0" if null else b"\n"
        self._lines: deque[PathLine] = deque()
        self._partial = bytearray()
        self._is_over = False

    @property
    def ended(self) -> bool:
        """Return whether the end has come, and all lines before it were taken."""
        return self._is_over and not self._lines

    def take(self, most: int, *, wait_s: float) -> list[PathLine]:
        """Return up to `most` lines, waiting up to `wait_s` if none has arrived. Raises: UsageError."""
        if most > 0 and not self._lines and not self._is_over:
            self._read(wait_s)
        return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]

    def _read(self, wait_s: float) -> None:
        piece = self._source.read(wait_s=wait_s)
        if piece is None:
            return
        if not piece:
            self._is_over = True
            # A last line needs no end.
            if self._partial:
                self._finish(b"")
            return
        *finished, rest = piece.split(self._end)
        for part in finished:
            self._finish(part)
        self._keep(rest)

    def _finish(self, part: bytes) -> None:
        self._keep(part)
        path = bytes(self._partial)
        self._partial.clear()
        if not self._null:
            path = path.removesuffix(b"\r")
        self._lines.append(_line(path))

    def _keep(self, part: bytes) -> None:
        # One byte more than is allowed shows that a line is too long, and its rest needs no memory.
        self._partial += part[: MAX_PATH_BYTES + 1 - len(self._partial)]


PathSource = GivenPaths | ArrivingPaths


def _line(path: bytes) -> PathLine:
    if not path:
        return PathLine(path=path, error=Rejected("empty_path", "the line holds no path"))
    if len(path) > MAX_PATH_BYTES:
        error = Rejected("path_too_long", f"a path has at most {MAX_PATH_BYTES} bytes")
        return PathLine(path=path[:MAX_PATH_BYTES], error=error)
    return PathLine(path=path)
