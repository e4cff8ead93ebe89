"""Waiting for the effect of another process or thread."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], object], *, within_s: float = 30.0) -> float:
    """Wait for a condition; return how many seconds it took. Raises: TimeoutError."""
    began_s = time.monotonic()
    while not happened():
        if time.monotonic() - began_s > within_s:
            raise TimeoutError(f"not within {within_s} s")
        time.sleep(0.01)
    return time.monotonic() - began_s
