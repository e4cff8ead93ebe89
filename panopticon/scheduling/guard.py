"""A wrong bucket must not condemn a catalogue: too many dead among the latest images stop a worker."""

from __future__ import annotations

from collections import deque

WINDOW = 200


class DeadGuard:
    """Watches the latest 200 outcomes of one worker."""

    def __init__(self, *, max_share: float) -> None:
        """`max_share`: more dead than this share of the window trips the guard; 1 never does."""
        self._max_dead = max_share * WINDOW
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)

    @property
    def tripped(self) -> bool:
        return sum(self._outcomes) > self._max_dead

    def record(self, *, dead: bool) -> None:
        self._outcomes.append(dead)

    def reset(self) -> None:
        self._outcomes.clear()
