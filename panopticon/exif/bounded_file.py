"""Reading pieces of a file that may be hostile, with a limit on all reads together."""

from __future__ import annotations

import os
from typing import BinaryIO

MAX_READS = 10_000
"""Enough for every chunk of a large PNG; a file that needs more costs about 20 ms and gives nothing."""
MAX_READ_BYTES = 2**20


class ExifError(ValueError):
    """The error of a file that ends early, is not laid out as it says, or needs too many reads."""


class BoundedFile:
    """A file that is read in pieces, until the limit of reads is reached."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads_left, self._bytes_left = MAX_READS, MAX_READ_BYTES
        self.size_bytes = file.seek(0, os.SEEK_END)

    def read(self, at: int, count: int) -> bytes:
        """Return `count` bytes from position `at`. Raises: ExifError if there are fewer, or OSError."""
        piece = self.read_some(at, count)
        if len(piece) < count:
            raise ExifError("ends early")
        return piece

    def read_some(self, at: int, count: int) -> bytes:
        """Return at most `count` bytes from position `at`. Raises: ExifError at a limit, or OSError."""
        self._reads_left -= 1
        self._bytes_left -= count
        if self._reads_left < 0 or self._bytes_left < 0:
            raise ExifError("needs too many reads")
        # A position far beyond the end would overflow.
        if at >= self.size_bytes:
            return b""
        self._file.seek(at)
        return self._file.read(count)
