"""Waiting for what another process or thread brings about."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], object], *, within_s: float = 30.0) -> float:
    """Seconds it took. Raises: TimeoutError."""
    began_s = time.monotonic()
    while not happened():
        if time.monotonic() - began_s > within_s:
            raise TimeoutError(f"not within {within_s} s")
        time.sleep(0.01)
    return time.monotonic() - began_s
