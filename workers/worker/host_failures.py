"""The hosts of originals: which of image and host is at fault when a fetch fails.

An image that is at fault spends an attempt. If its host is down, its images wait and spend none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container

from panopticon.errors import Transient
from panopticon.scheduling.breaker import Breaker

log = logging.getLogger(__name__)

SIGNS_OF_LIFE = frozenset({"forbidden", "not_found"})
"""Reasons of failures that show that the host is up."""


class Hosts:
    """The hosts of one worker's originals, by name. Used by one thread."""

    def __init__(self, breaker: Breaker, *, clock: Callable[[], float]) -> None:
        self._breaker = breaker
        self._clock = clock

    def admits(self, host: str) -> bool:
        """Return whether an image may be fetched from it now."""
        return self._breaker.admits(host, now_s=self._clock())

    def is_down(self, host: str) -> bool:
        return self._breaker.is_down(host)

    def is_decided(self, host: str, *, busy: Container[str]) -> bool:
        """Return whether it is known whose fault its failures are. `busy`: hosts that are still to answer."""
        # With no answer to come, nothing will show whether the host is up, and its images count as at fault.
        return self._breaker.is_down(host) or not self._breaker.has_failed(host) or host not in busy

    def answered(self, host: str) -> None:
        """Record an answer of any kind, which shows that the host is up."""
        if self._breaker.answered(host):
            log.warning("%s is back", host)

    def failed(self, host: str, image_id: str, error: Transient) -> None:
        """Record a failed fetch."""
        if error.reason in SIGNS_OF_LIFE:
            self.answered(host)
        elif self._breaker.failed(host, image_id, now_s=self._clock()):
            log.warning(
                "%s is down, the latest failure: %s; its images wait and spend no attempt", host, error
            )

    def abandoned(self, host: str) -> None:
        """Record that a fetch ended without a result; if it was a probe, another may follow."""
        self._breaker.abandoned(host)
