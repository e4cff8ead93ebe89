"""The time functions that waiting code uses, so that tests can put in a clock of their own."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The part of the `time` module that waiting code uses; the module itself is one."""

    def time(self) -> float:
        """Return seconds since 1970, UTC: comparable between processes."""

    def monotonic(self) -> float:
        """Return seconds from some moment on, never fewer than before: for durations in one process."""

    def sleep(self, seconds: float, /) -> None: ...
