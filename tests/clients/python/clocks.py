"""A clock and a random generator under the control of a test."""

from __future__ import annotations

import random


class SteppedClock:
    """A clock that goes on only while somebody sleeps, and notes each sleep."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def time(self) -> float:
        return 1_800_000_000.0 + self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


class ChosenRandom(random.Random):
    """A generator that starts with the first host, and whose jitter is this share of its range."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__(0)
        self._share = share
        self.ranges: list[float] = []

    def randrange(self, *args: int, **_: int) -> int:  # type: ignore[override]
        # The host before the first one was "the last".
        return args[0] - 1

    def uniform(self, a: float, b: float) -> float:
        self.ranges.append(b)
        return a + (b - a) * self._share
