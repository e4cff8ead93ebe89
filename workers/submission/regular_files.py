"""Read the beginning of a file that may turn out to be something else."""

from __future__ import annotations

import os
import stat


def first_bytes(path: bytes, count: int) -> bytes:
    """Return at most `count` bytes of a regular file. Raises: OSError, also if it is not a regular file."""
    # A pipe without a writer would block an ordinary open for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        return file.read(count)
