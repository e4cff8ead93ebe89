"""The files of this machine as images: their IDs, states and URIs. Names may be any bytes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from storage.originals.files import uri_of


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


def image_id_of(path: bytes) -> str:
    """Return the ID under which the file at `path` is indexed; the file need not exist."""
    return FoundFile(path=os.path.realpath(path), size_bytes=0, mtime_ns=0).image_id
