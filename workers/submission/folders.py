"""Find the files to index in files and folders of this machine. Names may be any bytes."""

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
"""A file with such a name is always taken; under another name, its first bytes decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file as the walk found it. Sizes, times and numbers are 0 if the file could not be examined."""

    path: bytes
    """The real path: absolute, all links resolved."""
    size_bytes: int
    mtime_ns: int
    ctime_ns: int = 0
    inode: int = 0
    device: int = 0

    @classmethod
    def of(cls, path: bytes, status: os.stat_result) -> FoundFile:
        """Return the file at a real path, as `os.stat` describes it."""
        return cls(
            path=path,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
            device=status.st_dev,
        )

    @property
    def image_id(self) -> str:
        """Return `file-` and the BLAKE2b-128 of the real path's bytes, in hex."""
        return f"file-{hashlib.blake2b(self.path, digest_size=16).hexdigest()}"

    @property
    def state(self) -> str:
        """Return size and time of change: a text that differs once the file was changed."""
        return f"size={self.size_bytes}&mtime_ns={self.mtime_ns}"

    @property
    def uri(self) -> str:
        """Return the file's `file://` URI, with its state as the fragment."""
        return f"{uri_of(self.path)}#{self.state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The result of a walk over files and folders. The walk fills it."""

    files: list[FoundFile] = field(default_factory=list)
    """Files to index in the order of the walk, each real path once."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of files by suffix that are not pictures, neither by name nor by first bytes."""
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be read, each with the reason."""


class Scanner:
    """Walks any number of paths into one `Scan`."""

    def __init__(self) -> None:
        self.result = Scan()
        self._paths: set[bytes] = set()
        self._folders: set[tuple[int, int]] = set()

    def add(self, path: bytes) -> None:
        """Walk a folder in sorted order, through links, each folder once; take anything else as it is.

        Raises: UsageError if the path does not exist, or the folder cannot be read.
        """
        if not path or b"\0" in path or not os.path.lexists(path):
            raise UsageError(f"no such path: {shown(path)}")
        if not os.path.isdir(path):
            self._take(path)
            return
        # A folder that a person named has to be readable; one found inside it is only reported.
        try:
            os.scandir(path).close()
        except OSError as error:
            raise UsageError(f"cannot read {shown(path)}: {error.strerror}") from None
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            if self._first_visit(folder):
                # Reversed, because the last one is walked next.
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
        """Take a folder's files, and return the folders in it."""
        try:
            with os.scandir(folder) as entries:
                return list(self._folders_among(sorted(entries, key=lambda entry: entry.name)))
        except OSError as error:
            self._skip(folder, error)
            return []

    def _folders_among(self, entries: list[os.DirEntry[bytes]]) -> Iterator[bytes]:
        for entry in entries:
            is_folder, suffix = _is_folder(entry), os.path.splitext(entry.name)[1].lower()
            is_picture = suffix in PICTURE_SUFFIXES or (not is_folder and _begins_like_one(entry.path))
            # A folder named like a picture is taken as well as walked, so that it gets a reason of its own.
            if is_picture:
                self._take(entry.path)
            if is_folder and not entry.name.startswith(b"."):
                yield entry.path
            if not is_folder and not is_picture:
                self.result.skipped[shown(suffix)] += 1

    def _take(self, path: bytes) -> None:
        real = os.path.realpath(path)
        # Several names and links may lead to one file.
        if real in self._paths:
            return
        self._paths.add(real)
        try:
            status = os.stat(real)
            found = FoundFile.of(real, status)
        except OSError:
            # Taken all the same, so that it fails with a reason and is not missed silently.
            found = FoundFile(path=real, size_bytes=0, mtime_ns=0)
        self.result.files.append(found)

    def _skip(self, folder: bytes, error: OSError) -> None:
        self.result.unreadable.append(f"{shown(folder)}: {error.strerror}")


def image_id_of(path: bytes) -> str:
    """Return the ID under which the file at `path` is indexed; the file need not exist."""
    return FoundFile(path=os.path.realpath(path), size_bytes=0, mtime_ns=0).image_id


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _begins_like_one(path: bytes) -> bool:
    """Return whether this is a regular file whose first bytes are those of a picture."""
    try:
        # A pipe without a writer would block an ordinary open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, "rb", buffering=0) as file:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return regular and begins_like_a_picture(file.read(HEAD_BYTES))
