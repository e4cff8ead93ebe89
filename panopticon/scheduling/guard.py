"""The guard that keeps a wrong bucket, mount or credential from failing a whole catalogue.

It counts only failures that may befall every image of a source. A picture that was fetched and cannot be read
shows that its source works, just like one that was run.
"""

from __future__ import annotations

from collections import deque

WINDOW = 200
LEAST = 50
"""The fewest images that the share is taken of, so that a worker fails few before it has seen any success."""
MAX_DOUBLINGS = 3


class DeadGuard:
    """The latest 200 outcomes of one worker, and the images that wait since its last success.

    While the guard is tripped, images wait instead of failing. Each is tried, so that a good one is found
    wherever it is in the queue. There is a pause after 200 failures in a row, then after 400 more, after 800,
    and from then on after every 1,600.
    """

    def __init__(self, *, max_share: float) -> None:
        """`max_share`: a larger share of dead images trips the guard; 1 never does."""
        self._max_share = max_share
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._waited = 0
        self._pauses = 0

    @property
    def tripped(self) -> bool:
        """Return whether too many of the latest images are dead for one more to fail."""
        return sum(self._outcomes) > self._max_share * max(len(self._outcomes), LEAST)

    @property
    def source_failing(self) -> bool:
        """Return whether a pause was due and nothing has succeeded since."""
        return self._pauses > 0

    def record(self, *, dead: bool) -> None:
        """Record an image that has failed, or a success, which ends the pauses."""
        self._outcomes.append(dead)
        if not dead:
            self._waited = self._pauses = 0

    def wait(self) -> bool:
        """Record an image that waits because the guard is tripped, and return whether a pause is due."""
        self._waited += 1
        if self._waited < WINDOW << min(self._pauses, MAX_DOUBLINGS):
            return False
        self._waited = 0
        self._pauses += 1
        return True
