"""The circuit breaker of each host of originals: the hosts that are down, and the next try of each.

One image can fail again and again through its own fault; a host is down after many different images in a row
have failed. From then on one image at a time probes it, ever less often, and any answer but a failure that
may pass shows that the host is back (`SIGNS_OF_LIFE` names the exceptions).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from panopticon.scheduling.backoff import Backoff

FIRST_PAUSE_S = 1.0
MAX_HOSTS = 10_000
"""The most hosts remembered. Beyond it, the first to fail is forgotten, if possible one that is not down."""


@dataclass(slots=True, kw_only=True)
class _Failing:
    """The failures of one host since its last answer."""

    backoff: Backoff
    images: set[str] = field(default_factory=set)
    """The images that failed, up to the number that takes the host down."""
    next_probe_s: float = 0.0
    probing: bool = False


class Breaker:
    """Hosts by name. Times are monotonic seconds."""

    def __init__(self, *, failures: int, max_pause_s: float, random: Callable[[], float]) -> None:
        """`failures`: different images in a row until a host is down. `random` gives floats in [0, 1)."""
        self._failures = failures
        self._max_pause_s = max_pause_s
        self._random = random
        self._failing: dict[str, _Failing] = {}

    def is_down(self, host: str) -> bool:
        """Return whether enough different images in a row have failed."""
        failing = self._failing.get(host)
        return failing is not None and len(failing.images) >= self._failures

    def has_failed(self, host: str) -> bool:
        """Return whether it has failed since its last answer."""
        return host in self._failing

    def admits(self, host: str, *, now_s: float) -> bool:
        """Return whether an image may be fetched from it now: any, or one as a probe while it is down."""
        if not self.is_down(host):
            return True
        failing = self._failing[host]
        if failing.probing or now_s < failing.next_probe_s:
            return False
        failing.probing = True
        return True

    def failed(self, host: str, image_id: str, *, now_s: float) -> bool:
        """Record a failure, and return whether it took the host down."""
        was_down = self.is_down(host)
        failing = self._failing.get(host) or self._new_failing(host)
        if was_down and not failing.probing:
            return False
        if not was_down:
            failing.images.add(image_id)
        failing.probing = False
        if self.is_down(host):
            failing.next_probe_s = now_s + failing.backoff.next_s()
        return self.is_down(host) and not was_down

    def answered(self, host: str) -> bool:
        """Record an answer that shows that the host works, and return whether it was down."""
        was_down = self.is_down(host)
        self._failing.pop(host, None)
        return was_down

    def abandoned(self, host: str) -> None:
        """Record that a fetch ended without an answer or a failure; if it was a probe, another may follow."""
        if host in self._failing:
            self._failing[host].probing = False

    def _new_failing(self, host: str) -> _Failing:
        if len(self._failing) >= MAX_HOSTS:
            oldest = next(iter(self._failing))
            del self._failing[next((name for name in self._failing if not self.is_down(name)), oldest)]
        backoff = Backoff(first_s=FIRST_PAUSE_S, max_s=self._max_pause_s, random=self._random)
        self._failing[host] = _Failing(backoff=backoff)
        return self._failing[host]
