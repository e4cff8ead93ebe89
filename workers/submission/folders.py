"""Files and folders on this machine → the files that are to be indexed, in names of any bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from panopticon.errors import UsageError
from panopticon.images.formats import HEAD_BYTES, begins_like_a_picture
from storage.originals.files import uri_of
from workers.runtime.terminal_text import shown

PICTURE_SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .dib .avif".split(),
)
"""Such names are always tried, whatever is in the file; under another name, its first bytes decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file as it lay there; zeros where it could not be looked at."""

    path: bytes
    """Its real path: absolute, all links resolved."""
    size_bytes: int
    mtime_ns: int

    @property
    def image_id(self) -> str:
        """`file-` and BLAKE2b-128 of the real path's bytes, in hex."""
        return f"file-{hashlib.blake2b(self.path, digest_size=16).hexdigest()}"

    @property
    def state(self) -> str:
        """What a changed file has another of."""
        return f"size={self.size_bytes}&mtime_ns={self.mtime_ns}"

    @property
    def uri(self) -> str:
        """Its `file://` URI, whose fragment is its state."""
        return f"{uri_of(self.path)}#{self.state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a walk over files and folders found. Filled while it walks."""

    files: list[FoundFile] = field(default_factory=list)
    """In the order of the walk, each real path once."""
    left_aside: Counter[str] = field(default_factory=Counter)
    """Files in folders that are no pictures, by name or by first bytes; counted by suffix."""
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be read, each with the reason."""


class Scanner:
    """Walks any number of paths into one `Scan`."""

    def __init__(self) -> None:
        self.result = Scan()
        self._paths: set[bytes] = set()
        self._folders: set[tuple[int, int]] = set()

    def add(self, path: bytes) -> None:
        """A folder is walked in sorted order, through links, each once; anything else is taken as it is.

        Raises: UsageError if there is no such path, or the folder cannot be read.
        """
        if not path or b"\0" in path or not os.path.lexists(path):
            raise UsageError(f"no such path: {shown(path)}")
        if not os.path.isdir(path):
            self._take(path)
            return
        try:
            os.scandir(path).close()
        except OSError as error:
            raise UsageError(f"cannot read {shown(path)}: {error.strerror}") from None
        self._walk(path)

    def _walk(self, root: bytes) -> None:
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            if self._first_visit(folder):
                waiting += reversed(self._enter(folder))

    def _first_visit(self, folder: bytes) -> bool:
        try:
            status = os.stat(folder)
        except OSError as error:
            self._skip(folder, error)
            return False
        identity = (status.st_dev, status.st_ino)
        first = identity not in self._folders
        self._folders.add(identity)
        return first

    def _enter(self, folder: bytes) -> list[bytes]:
        """Take a folder's files; its folders are returned."""
        try:
            with os.scandir(folder) as entries:
                return list(self._folders_among(sorted(entries, key=lambda entry: entry.name)))
        except OSError as error:
            self._skip(folder, error)
            return []

    def _folders_among(self, entries: list[os.DirEntry[bytes]]) -> Iterator[bytes]:
        for entry in entries:
            is_folder = _is_folder(entry)
            is_picture = _is_picture(entry.name) or (not is_folder and _begins_like_one(entry.path))
            if is_picture:
                self._take(entry.path)
            if is_folder and not entry.name.startswith(b"."):
                yield entry.path
            if not is_folder and not is_picture:
                self.result.left_aside[_suffix(entry.name)] += 1

    def _take(self, path: bytes) -> None:
        real = os.path.realpath(path)
        if real not in self._paths:
            self._paths.add(real)
            self.result.files.append(_found(real))

    def _skip(self, folder: bytes, error: OSError) -> None:
        self.result.unreadable.append(f"{shown(folder)}: {error.strerror}")


def image_id_of(path: bytes) -> str:
    """The ID under which the file at `path`, there or not, is indexed."""
    return FoundFile(path=os.path.realpath(path), size_bytes=0, mtime_ns=0).image_id


def _found(real: bytes) -> FoundFile:
    try:
        status = os.stat(real)
    except OSError:
        return FoundFile(path=real, size_bytes=0, mtime_ns=0)
    return FoundFile(path=real, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_picture(name: bytes) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def _begins_like_one(path: bytes) -> bool:
    """A photo under another suffix, or none, is a photo still."""
    try:
        # A pipe without a writer would block an ordinary open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, "rb", buffering=0) as file:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return regular and begins_like_a_picture(file.read(HEAD_BYTES))


def _suffix(name: bytes) -> str:
    return shown(os.path.splitext(name)[1].lower())
