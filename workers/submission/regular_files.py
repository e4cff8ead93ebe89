"""Open files that may turn out to be something else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


def first_bytes(path: bytes, count: int) -> bytes:
    """Return at most `count` bytes of a regular file. Raises: OSError, also if it is not a regular file."""
    with open_regular(path) as file:
        return file.read(count)


@contextmanager
def open_regular(path: bytes) -> Iterator[BinaryIO]:
    """Open a regular file. Raises: OSError, also if it is not a regular file."""
    # A pipe without a writer would block an ordinary open for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        yield file
