"""A version that is taken out of service: its backfills cancelled, fed no more, worked off, retired, and its
queues deleted."""

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

POLL_S = 0.5
DROP_S = 30.0
"""For its workers to notice, drain and end."""
AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What came of it."""

    discarded: int
    """Messages thrown away: their images count as skipped."""
    dropped: bool
    """Whether its queues are gone."""


class Retiring:
    """May be interrupted at any moment, and called again: it goes on where it was."""

    def __init__(
        self,
        *,
        versions: Versions,
        settings: Settings,
        backfills: Backfills,
        open_broker: Callable[[], Broker],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`open_broker`: each connection of its own, since a queue with a subscriber is not deleted."""
        self._versions = versions
        self._settings = settings
        self._backfills = backfills
        self._open_broker = open_broker
        self._sleep = sleep
        self._clock = clock
        self._now_s = now_s

    def retire(
        self, name: VersionName, *, discard: bool, waiting: Callable[[int], None] = lambda _: None
    ) -> Retired:
        """`waiting` hears now and then how many messages its workers have still to work off.

        Raises: UsageError while it is active; Unavailable.
        """
        discarded = 0
        cancel_all(name, self._backfills, now_ms=int(self._now_s() * 1000))
        self._versions.stop_routing(name)
        if not self._is_retired(name):
            discarded = self._emptied(name, discard=discard, waiting=waiting)
            self._versions.retire(name)
        if discard:
            discarded += self._discarded(name)
        return Retired(discarded=discarded, dropped=self._dropped(name))

    def _is_retired(self, name: VersionName) -> bool:
        entry = self._versions.read(name.model)
        return known_version(entry, name.version).state is VersionState.RETIRED

    def _emptied(self, name: VersionName, *, discard: bool, waiting: Callable[[int], None]) -> int:
        if discard:
            return self._discarded(name)
        with closing(self._open_broker()) as broker:
            while left := self._left(broker, name):
                waiting(left)
                self._sleep(POLL_S)
        return 0

    def _left(self, broker: Broker, name: VersionName) -> int:
        """Where the queue seems empty, a later look tells whether it is."""
        queue = broker.model_queue(name)
        if (left := _at_hand(queue)) or not broker.depth_lag_s:
            return left
        self._sleep(broker.depth_lag_s)
        return _at_hand(queue)

    def _discarded(self, name: VersionName) -> int:
        """What is ready now; what a worker holds, it finishes."""
        taken = 0
        with closing(self._open_broker()) as broker:
            queue = broker.model_queue(name)
            while deliveries := queue.receive(max_live=AT_ONCE, max_backfill=AT_ONCE, wait_s=1.0):
                queue.ack(deliveries)
                taken += len(deliveries)
        return taken

    def _dropped(self, name: VersionName) -> bool:
        until_s = self._clock() + DROP_S
        with closing(self._open_broker()) as broker:
            while not (gone := self._dropped_by(broker, name)) and self._clock() < until_s:
                self._sleep(POLL_S)
        return gone

    def _dropped_by(self, broker: Broker, name: VersionName) -> bool:
        return broker.topology.drop_if_empty(name, idle_s=self._idle_s(name))

    def _idle_s(self, name: VersionName) -> float:
        """For how long no worker of it can have put anything on a retry delay."""
        at_ms = retired_at_ms(self._versions.read(name.model), name.version)
        if at_ms is None:
            return 0.0
        return max(self._now_s() - at_ms / 1000 - settled_s(self._settings), 0.0)


def settled_s(settings: Settings) -> float:
    """So long after a version is retired each worker has heard of it, or parked, and has drained."""
    return settings.registry_max_age_s + settings.grace_s


def _at_hand(queue: Queue) -> int:
    """Without what is on a retry delay: a broker may not be able to tell whose that is."""
    return sum(depth.ready + depth.leased for depth in queue.depth().values())
