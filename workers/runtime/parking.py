"""Parking: while a component is down, work pauses, spends no attempt, and resumes by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import SystemRandom

from panopticon.errors import Unavailable
from panopticon.metrics import Metrics
from panopticon.scheduling.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5


class Parking:
    """The pauses of one worker during an outage. Times are monotonic seconds."""

    def __init__(self, *, max_s: float, clock: Callable[[], float], metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._backoff = Backoff(first_s=FIRST_PAUSE_S, max_s=max_s, random=SystemRandom().random)
        self._since_s = self._until_s = 0.0
        self._long_reported = False
        self._reason: Unavailable | None = None

    @property
    def reason(self) -> Unavailable | None:
        """The component that is down; None while not parked."""
        return self._reason

    @property
    def waiting(self) -> bool:
        """Return whether it is parked and the next try is not due."""
        return self._reason is not None and self._clock() < self._until_s

    def report_long_outage_once(self, limit_s: float) -> bool:
        """Return True at the first call after it has been parked for `limit_s`; once for each outage."""
        is_long = self._reason is not None and self._clock() - self._since_s >= limit_s
        is_news = is_long and not self._long_reported
        self._long_reported |= is_long
        return is_news

    def park(self, reason: Unavailable) -> None:
        """Pause, longer each time until `resume`; a repeat for the same component changes nothing."""
        if self._reason is not None and self._reason.component == reason.component and self.waiting:
            return
        if self._reason is None:
            self._since_s = self._clock()
        pause_s = self._backoff.next_s()
        self._until_s = self._clock() + pause_s
        is_new = self._reason is None or self._reason.component != reason.component
        if self._reason is None or str(self._reason) != str(reason):
            log.warning("parked: %s; trying again in %.1f s", reason, pause_s, extra={"parked": True})
        if self._reason is not None:
            # Another component may have been the reason until now.
            self._metrics.set("panopticon_parked", 0, part=self._reason.component)
        self._reason = reason
        self._metrics.set("panopticon_parked", 1, part=reason.component)
        if is_new:
            # Later pauses belong to the same outage.
            self._metrics.count("panopticon_park_total", part=reason.component)

    def resume(self) -> None:
        """End the outage, if there is one, and start with a short pause next time."""
        if self._reason is None:
            return
        log.warning("resumed: %s is back", self._reason.component, extra={"parked": False})
        self._metrics.set("panopticon_parked", 0, part=self._reason.component)
        self._reason = None
        self._long_reported = False
        self._backoff.reset()
