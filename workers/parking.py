"""Pausing without losing anything: a part is down, no attempt is spent, and work resumes by itself."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from panopticon.backoff import Backoff
from panopticon.errors import Unavailable

log = logging.getLogger(__name__)


class Parking:
    """Whether this worker pauses, why, and until when. Times are monotonic seconds."""

    def __init__(self, *, max_s: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._backoff = Backoff(first_s=0.5, max_s=max_s, random=random.random)
        self._until_s = 0.0
        self.reason: Unavailable | None = None

    @property
    def waiting(self) -> bool:
        """Parked, and not yet due for another try."""
        return self.reason is not None and self._clock() < self._until_s

    def park(self, reason: Unavailable) -> None:
        pause_s = self._backoff.next_s()
        self._until_s = self._clock() + pause_s
        if self.reason is None or str(self.reason) != str(reason):
            log.warning("parked: %s; trying again in %.1f s", reason, pause_s)
        self.reason = reason

    def resume(self) -> None:
        if self.reason is not None:
            log.warning("resumed: %s is back", self.reason.part)
        self.reason = None
        self._backoff.reset()
