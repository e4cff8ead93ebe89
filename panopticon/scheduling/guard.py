"""A limit on the share of dead images, so that a wrong bucket does not fail a whole catalogue."""

from __future__ import annotations

from collections import deque

WINDOW = 200


class DeadGuard:
    """The latest 200 outcomes of one worker."""

    def __init__(self, *, max_share: float) -> None:
        """`max_share`: a larger share of dead images in the window trips the guard; 1 never does."""
        self._max_dead = max_share * WINDOW
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)

    @property
    def tripped(self) -> bool:
        """Return whether too many of the latest images are dead."""
        return sum(self._outcomes) > self._max_dead

    def record(self, *, dead: bool) -> None:
        self._outcomes.append(dead)

    def reset(self) -> None:
        self._outcomes.clear()
