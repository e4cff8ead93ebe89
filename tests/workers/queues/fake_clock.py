"""A clock that moves when a test sets it, or when its `sleep` is called."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    def __init__(self, now_s: float = 1_795_262_400.0) -> None:
        self.now_s = now_s
        self.wall_shift_s = 0.0
        """Seconds by which somebody has set the clock of the machine."""
        self.on_sleep: Callable[[], object] = lambda: None
        self._calling = False

    def time(self) -> float:
        return self.now_s + self.wall_shift_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        """Move the clock, then call `on_sleep`; a sleep inside that call moves the clock only."""
        self.now_s += seconds
        if not self._calling:
            self._calling = True
            try:
                self.on_sleep()
            finally:
                self._calling = False
