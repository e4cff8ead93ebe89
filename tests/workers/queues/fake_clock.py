"""A clock that moves when a test sets it, or when its `sleep` is called."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    def __init__(self, now_s: float = 1_795_262_400.0) -> None:
        self.now_s = now_s
        self.on_sleep: Callable[[], None] = lambda: None

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        self.now_s += seconds
        self.on_sleep()
