"""Which hosts of originals are down, and when one of them is tried again.

An image alone can be at fault for a failure, again and again; a host is down after failures of many images
in a row. From then on one image at a time is its probe, ever less often, and an answer of any kind brings it
back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from panopticon.scheduling.backoff import Backoff

FIRST_PAUSE_S = 1.0
MAX_HOSTS = 10_000
"""Hosts that are remembered; failures of a host that is named once are forgotten in time."""


@dataclass(slots=True, kw_only=True)
class _Trouble:
    """A host since its last answer."""

    backoff: Backoff
    images: set[str] = field(default_factory=set)
    """That have failed; no more of them than take the host down."""
    next_probe_s: float = 0.0
    probing: bool = False


class Breaker:
    """Hosts by name. Times are monotonic seconds."""

    def __init__(self, *, failures: int, max_pause_s: float, random: Callable[[], float]) -> None:
        """Failures of so many images in a row: the host is down. `random` gives floats in [0, 1)."""
        self._failures = failures
        self._max_pause_s = max_pause_s
        self._random = random
        self._troubles: dict[str, _Trouble] = {}

    def is_down(self, host: str) -> bool:
        trouble = self._troubles.get(host)
        return trouble is not None and len(trouble.images) >= self._failures

    def has_failed(self, host: str) -> bool:
        """Whether it has failed since its last answer."""
        return host in self._troubles

    def admits(self, host: str, *, now_s: float) -> bool:
        """Whether an image may be asked of it now. Of a host that is down: one, which is then its probe."""
        if not self.is_down(host):
            return True
        trouble = self._troubles[host]
        if trouble.probing or now_s < trouble.next_probe_s:
            return False
        trouble.probing = True
        return True

    def failed(self, host: str, image_id: str, *, now_s: float) -> bool:
        """Says whether the host has just gone down by it."""
        was_down = self.is_down(host)
        trouble = self._troubles.get(host) or self._new_trouble(host)
        if was_down and not trouble.probing:
            return False
        if not was_down:
            trouble.images.add(image_id)
        trouble.probing = False
        if self.is_down(host):
            trouble.next_probe_s = now_s + trouble.backoff.next_s()
        return self.is_down(host) and not was_down

    def answered(self, host: str) -> bool:
        """Whatever it said. Says whether the host was down."""
        was_down = self.is_down(host)
        self._troubles.pop(host, None)
        return was_down

    def undecided(self, host: str) -> None:
        """What was asked of it came to no end; if it was the probe, another may follow."""
        if host in self._troubles:
            self._troubles[host].probing = False

    def _new_trouble(self, host: str) -> _Trouble:
        if len(self._troubles) >= MAX_HOSTS:
            del self._troubles[self._least_missed()]
        backoff = Backoff(first_s=FIRST_PAUSE_S, max_s=self._max_pause_s, random=self._random)
        self._troubles[host] = _Trouble(backoff=backoff)
        return self._troubles[host]

    def _least_missed(self) -> str:
        oldest = next(iter(self._troubles))
        return next((host for host in self._troubles if not self.is_down(host)), oldest)
