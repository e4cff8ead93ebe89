"""Taking a version out of service: its backfills are cancelled, uploads reach it no more, its messages are
processed, it is retired, and its queues are deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from panopticon.interfaces import Backfills, Broker, Queue
from panopticon.registry.records import VersionState
from panopticon.registry.transitions import known_version, retired_at_ms
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from workers.backfill.records import cancel_all
from workers.registry.change_state import Versions
from workers.runtime.clock import Clock

POLL_S = 0.5
DROP_S = 30.0
"""Time for the version's workers to notice that it is retired, drain and end."""
AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """The result of retiring a version."""

    discarded: int
    """Messages thrown away: their images count as skipped."""
    dropped: bool
    """True if the version's queues are deleted."""


class Retiring:
    """Retires versions. May be interrupted at any moment; the next call continues."""

    def __init__(
        self,
        *,
        versions: Versions,
        settings: Settings,
        backfills: Backfills,
        open_broker: Callable[[], Broker],
        clock: Clock = time,
    ) -> None:
        """`open_broker` makes a connection for one step, since a queue with a subscriber is not deleted."""
        self._versions = versions
        self._settings = settings
        self._backfills = backfills
        self._open_broker = open_broker
        self._clock = clock

    def retire(
        self, name: VersionName, *, discard: bool, waiting: Callable[[int], None] = lambda _: None
    ) -> Retired:
        """Retire a version once its messages are processed, or discarded with `discard`.

        `waiting` is called every `POLL_S` with the number of messages that are still to be processed.
        Raises: UsageError while the version is active, or if it is made a shadow meanwhile; Unavailable.
        """
        discarded = 0
        cancel_all(name, self._backfills, now_ms=int(self._clock.time() * 1000))
        self._versions.stop_routing(name)
        entry = known_version(self._versions.read(name.model), name.version)
        if entry.state is not VersionState.RETIRED:
            if discard:
                discarded = self._discard(name)
            else:
                self._wait_until_empty(name, waiting)
            self._versions.retire(name)
        # Messages that a worker put back, or that came while the version was being retired.
        if discard:
            discarded += self._discard(name)
        return Retired(discarded=discarded, dropped=self._drop_queues(name))

    def _wait_until_empty(self, name: VersionName, waiting: Callable[[int], None]) -> None:
        with closing(self._open_broker()) as broker:
            while left := self._left(broker, name):
                # Otherwise uploads would keep it from ever being empty.
                self._versions.refuse_if_routed(name)
                waiting(left)
                self._clock.sleep(POLL_S)

    def _left(self, broker: Broker, name: VersionName) -> int:
        queue = broker.model_queue(name)
        if (left := _ready_or_leased(queue)) or not broker.depth_lag_s:
            return left
        # This broker's counts lag, so one that shows none is read again once it has caught up.
        self._clock.sleep(broker.depth_lag_s)
        return _ready_or_leased(queue)

    def _discard(self, name: VersionName) -> int:
        """Throw away the messages that are ready now, and return how many; leased ones are finished."""
        taken = 0
        with closing(self._open_broker()) as broker:
            queue = broker.model_queue(name)
            while deliveries := queue.receive(max_live=AT_ONCE, max_backfill=AT_ONCE, wait_s=1.0):
                queue.ack(deliveries)
                taken += len(deliveries)
        return taken

    def _drop_queues(self, name: VersionName) -> bool:
        """Delete the version's queues once its workers have ended; return whether they are deleted."""
        until_s = self._clock.monotonic() + DROP_S
        with closing(self._open_broker()) as broker:
            while not (gone := broker.topology.drop_if_empty(name, idle_s=self._idle_s(name))):
                if self._clock.monotonic() >= until_s:
                    break
                self._clock.sleep(POLL_S)
        return gone

    def _idle_s(self, name: VersionName) -> float:
        """Return for how many seconds none of its workers can have put a message on a retry delay."""
        at_ms = retired_at_ms(self._versions.read(name.model), name.version)
        if at_ms is None:
            return 0.0
        return max(self._clock.time() - at_ms / 1000 - settled_s(self._settings), 0.0)


def settled_s(settings: Settings) -> float:
    """Return the seconds after retiring in which each worker has noticed it, or parked, and has drained."""
    return settings.registry_max_age_s + settings.grace_s


def _ready_or_leased(queue: Queue) -> int:
    """Count messages except those on a retry delay: a broker may not know which version they are of."""
    return sum(depth.ready + depth.leased for depth in queue.depth().values())
