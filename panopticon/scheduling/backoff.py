"""The pause before the next try: exponential, with equal jitter (half of it to the whole)."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Pauses of 0.5 to 1 × (first_s, 2 first_s, 4 first_s … max_s)."""

    def __init__(self, *, first_s: float, max_s: float, random: Callable[[], float]) -> None:
        """`random` gives floats in [0, 1)."""
        self._first_s = first_s
        self._max_s = max_s
        self._random = random
        self._tries = 0

    def next_s(self) -> float:
        """Return the next pause; each call counts as one more try."""
        longest_s = min(self._max_s, self._first_s * 2 ** min(self._tries, 30))
        self._tries += 1
        return float(longest_s * (0.5 + self._random() / 2))

    def reset(self) -> None:
        """Begin again with the shortest pause."""
        self._tries = 0
