"""Feeding one version's backfill lane from a list of IDs, as its record says, until the list is through."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from panopticon.chunks import CHUNK
from panopticon.errors import Unavailable
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import Lane
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.scheduling.backoff import Backoff
from panopticon.settings import Settings
from workers.backfill.classify import Sorted, sort_out
from workers.backfill.records import known_backfill, refuse_unrouted
from workers.registry.compare_and_set import swap_with_retries
from workers.runtime.parking import FIRST_PAUSE_S
from workers.submission.submit import body_of, entry_of_row

PAUSED_POLL_S = 1.0
"""Between two looks at the record while it says that nothing is to be sent."""

FULL_POLL_S = 0.5
"""Between two looks at the lane while there is no room in it."""

SHOW_EVERY_MS = 10_000
"""The record is written at least so often, so that one sees that it is fed."""

LANE_IS_FULL = "its lane is full"

UNKNOWN_NAMED = 5
"""IDs that are told by name; the others are counted."""


class Ids(Protocol):
    """Where a backfill draws its IDs from, in the order of their UTF-8 bytes."""

    def next(self, record: Backfill, count: int) -> list[str]:
        """Up to `count` of those that the record has not come to; none at the end.

        Asked once at each place that the record comes to.
        """


class Listed:
    """IDs of a list, of which the first `cursor` are behind."""

    def __init__(self, after: Callable[[int], Iterator[str]]) -> None:
        self._after = after
        self._ids: Iterator[str] | None = None

    def next(self, record: Backfill, count: int) -> list[str]:
        if self._ids is None:
            self._ids = self._after(record.cursor)
        return list(islice(self._ids, count))


class FromSearch:
    """IDs of the documents that search holds, page by page."""

    def __init__(self, search: SearchIndex) -> None:
        self._search = search

    def next(self, record: Backfill, count: int) -> list[str]:
        """Raises: Unavailable."""
        return self._search.image_ids(after=record.after, limit=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Time, and who is told of what happens."""

    now_ms: Callable[[], int]
    sleep: Callable[[float], None]
    told: Callable[[Backfill, str], None]
    """Hears the record as it is now, and why nothing is sent, if so."""


class Feeder:
    """Sends chunk by chunk. The record moves only when a chunk is safe on the queue, so a crash repeats one
    chunk at most; a worker looks backfill up in the store, and runs nothing that is there."""

    def __init__(
        self,
        record: Backfill,
        ids: Ids,
        *,
        store: Store,
        broker: Broker,
        settings: Settings,
        around: Context,
    ) -> None:
        self._record = record
        self._owner = record.owner
        self._ids = ids
        self._store = store
        self._queue = broker.model_queue(record.version_name)
        self._max_waiting = settings.backfill_waiting
        self._chunk = min(CHUNK, max(self._max_waiting // 2, 1))
        self._drawn: Sequence[str] = ()
        self._drawn_at: int | None = None
        self._around = around
        self._backoff = Backoff(first_s=FIRST_PAUSE_S, max_s=settings.park_max_s, random=random.random)
        self.unknown: list[str] = []
        """The first that this process met."""

    def feed(self) -> Backfill:
        """The record, done, cancelled, or with another process's name in it. What is down is tried again.

        Raises: UsageError if the version takes no images any more.
        """
        while not self._over:
            try:
                self._turn()
            except Unavailable as error:
                self._pause(str(error), self._backoff.next_s())
            else:
                self._backoff.reset()
        return self._record

    @property
    def _over(self) -> bool:
        return self._record.state.ended or self._taken_over

    @property
    def _taken_over(self) -> bool:
        return self._record.owner != self._owner

    def _turn(self) -> None:
        self._read_again()
        if self._over:
            return
        if self._record.state is BackfillState.PAUSED:
            self._wait(f"paused; panopticon backfill resume {self._record.name}", PAUSED_POLL_S)
        elif not (image_ids := self._next()):
            self._write(state=BackfillState.DONE)
        elif self._waiting() + len(image_ids) > self._max_waiting:
            self._wait(LANE_IS_FULL, FULL_POLL_S)
        else:
            refuse_unrouted(self._record.version_name, self._store)
            self._send(image_ids)
            self._around.told(self._record, "")

    def _next(self) -> Sequence[str]:
        """Drawn before there is room for it, so that the end is seen though nobody takes from the lane."""
        if self._drawn_at != self._record.cursor:
            self._drawn = self._ids.next(self._record, self._chunk)
            self._drawn_at = self._record.cursor
        return self._drawn

    def _waiting(self) -> int:
        """What nobody has taken yet: an hour on a retry delay is no reason to send nothing."""
        return self._queue.depth()[Lane.BACKFILL].ready

    def _send(self, image_ids: Sequence[str]) -> None:
        sorted_ = sort_out(image_ids, self._record.version_name, self._store)
        if sorted_.missing:
            now_ms = self._around.now_ms()
            bodies = [body_of(entry_of_row(row), now_ms=now_ms) for row in sorted_.missing]
            self._queue.submit(bodies, Lane.BACKFILL)
        self._write(**self._counted(image_ids, sorted_))
        self.unknown += sorted_.unknown[: UNKNOWN_NAMED - len(self.unknown)]

    def _counted(self, image_ids: Sequence[str], sorted_: Sorted) -> dict[str, object]:
        record = self._record
        return {
            "cursor": record.cursor + len(image_ids),
            "after": image_ids[-1],
            "submitted": record.submitted + len(sorted_.missing),
            "stored": record.stored + sorted_.stored,
            "skipped": record.skipped + sorted_.skipped,
            "unknown": record.unknown + len(sorted_.unknown),
        }

    def _write(self, **fields: object) -> None:
        """Whatever somebody wrote meanwhile stays: only this process moves the cursor."""
        now_ms = self._around.now_ms()

        def changed(record: Backfill) -> Backfill:
            if record.owner != self._owner:
                return record
            if record.state.ended:
                fields.pop("state", None)
            return record.changed(at_ms=now_ms, heartbeat_at_ms=now_ms, **fields)

        _, self._record = swap_with_retries(
            lambda: known_backfill(self._record.name, self._store.backfills),
            self._store.backfills.swap,
            changed,
            record=f"the record of {self._record.name}",
        )

    def _wait(self, reason: str, seconds: float) -> None:
        if self._around.now_ms() - self._record.heartbeat_at_ms >= SHOW_EVERY_MS:
            self._write()
        self._pause(reason, seconds)

    def _read_again(self) -> None:
        self._record = known_backfill(self._record.name, self._store.backfills)

    def _pause(self, reason: str, seconds: float) -> None:
        self._around.told(self._record, reason)
        self._around.sleep(seconds)
