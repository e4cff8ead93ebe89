"""Feed the backfill lane of one version from a list of IDs, until the list ends or its record stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import SystemRandom
from typing import Protocol

from panopticon.chunks import CHUNK
from panopticon.errors import Unavailable
from panopticon.interfaces import Broker, ImageList, SearchIndex, Store
from panopticon.messages import Lane
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.scheduling.backoff import Backoff
from panopticon.settings import Settings
from workers.backfill.classify import classify
from workers.backfill.records import known_backfill, refuse_unrouted
from workers.registry.compare_and_set import swap_with_retries
from workers.runtime.parking import FIRST_PAUSE_S
from workers.submission.submit import body_of, entry_of_row

PAUSED_POLL_S = 1.0
"""Interval between reads of the record while the backfill is paused."""

FULL_POLL_S = 0.5
"""Interval between reads of the depth while the lane is full."""

SHOW_EVERY_MS = 10_000
"""Maximum age of the heartbeat in the record while the feeder waits."""

LANE_IS_FULL = "its lane is full"

UNKNOWN_NAMED = 5
"""Number of unknown IDs that are listed by name; the others are only counted."""


class Ids(Protocol):
    """The source of a backfill's IDs, in an order that stays the same."""

    def next(self, record: Backfill, count: int) -> list[str]:
        """Return up to `count` IDs after the record's cursor; an empty list at the end.

        It is called once for each position of the cursor.
        """


class Listed:
    """The IDs of a list. `after` returns those that follow the first `cursor` ones."""

    def __init__(self, after: Callable[[int], Iterator[str]]) -> None:
        self._after = after
        self._ids: Iterator[str] | None = None

    def next(self, record: Backfill, count: int) -> list[str]:
        """Return the next IDs; only the first call looks at the record's cursor."""
        if self._ids is None:
            self._ids = self._after(record.cursor)
        return list(islice(self._ids, count))


class FromSearch:
    """The IDs of the documents in search, page by page."""

    def __init__(self, search: SearchIndex) -> None:
        self._search = search

    def next(self, record: Backfill, count: int) -> list[str]:
        """Return the IDs after the last one that the record has. Raises: Unavailable."""
        return self._search.image_ids(after=record.after, limit=count)


class FromList:
    """The IDs of all images in the catalogue, page by page."""

    def __init__(self, images: ImageList) -> None:
        self._images = images

    def next(self, record: Backfill, count: int) -> list[str]:
        """Return the IDs after the last one that the record has. Raises: Unavailable."""
        return self._images.image_ids(after=record.after, limit=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The clock of a feeder, and the receiver of its progress."""

    now_ms: Callable[[], int]
    sleep: Callable[[float], None]
    report: Callable[[Backfill, str], None]
    """Called with the present record, and the reason why nothing is sent; empty if something was."""


class Feeder:
    """Sends the IDs of one backfill chunk by chunk.

    The cursor of the record moves once a chunk is safe on the queue, so a crash repeats at most one chunk.
    Workers look backfill messages up in the store, and do not run images that have an output.
    """

    def __init__(
        self,
        record: Backfill,
        ids: Ids,
        *,
        store: Store,
        broker: Broker,
        settings: Settings,
        context: Context,
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
        self._context = context
        self._backoff = Backoff(
            first_s=FIRST_PAUSE_S, max_s=settings.park_max_s, random=SystemRandom().random
        )
        self.unknown: list[str] = []
        """The first unknown IDs that this process found."""

    def feed(self) -> Backfill:
        """Send until the backfill ends or another process owns it, and return its record.

        Waits and retries while a component is down.
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
        return self._record.state.ended or self._record.owner != self._owner

    def _turn(self) -> None:
        # Any process may have paused, cancelled or taken over the backfill since the last turn.
        self._record = known_backfill(self._record.name, self._store.backfills)
        if self._over:
            return
        if self._record.state is BackfillState.PAUSED:
            self._wait(f"paused; panopticon backfill resume {self._record.name}", PAUSED_POLL_S)
        elif not (image_ids := self._next()):
            self._write(state=BackfillState.DONE)
        # Only ready messages count: one that waits an hour for its retry must not stop the backfill.
        elif self._queue.depth()[Lane.BACKFILL].ready + len(image_ids) > self._max_waiting:
            self._wait(LANE_IS_FULL, FULL_POLL_S)
        else:
            # The version may have been retired since the backfill began.
            refuse_unrouted(self._record.version_name, self._store)
            self._send(image_ids)
            self._context.report(self._record, "")

    def _next(self) -> Sequence[str]:
        """Return the next chunk, drawn before the lane has room so that the end is seen while it is full."""
        if self._drawn_at != self._record.cursor:
            self._drawn = self._ids.next(self._record, self._chunk)
            self._drawn_at = self._record.cursor
        return self._drawn

    def _send(self, image_ids: Sequence[str]) -> None:
        record = self._record
        found = classify(image_ids, record.version_name, self._store)
        if found.missing:
            now_ms = self._context.now_ms()
            bodies = [body_of(entry_of_row(row), now_ms=now_ms) for row in found.missing]
            self._queue.submit(bodies, Lane.BACKFILL)
        self._write(
            cursor=record.cursor + len(image_ids),
            after=image_ids[-1],
            submitted=record.submitted + len(found.missing),
            stored=record.stored + found.stored,
            skipped=record.skipped + found.skipped,
            unknown=record.unknown + len(found.unknown),
        )
        self.unknown += found.unknown[: UNKNOWN_NAMED - len(self.unknown)]

    def _write(self, **fields: object) -> None:
        """Change the record, and keep what others wrote meanwhile: only the owner moves the cursor."""
        now_ms = self._context.now_ms()

        def changed(record: Backfill) -> Backfill:
            if record.owner != self._owner:
                return record
            # A backfill that was cancelled meanwhile stays cancelled.
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
        # Without a heartbeat, other processes would take the backfill for one that nobody runs.
        # If the clock was set back, the last heartbeat is ahead.
        if abs(self._context.now_ms() - self._record.heartbeat_at_ms) >= SHOW_EVERY_MS:
            self._write()
        self._pause(reason, seconds)

    def _pause(self, reason: str, seconds: float) -> None:
        self._context.report(self._record, reason)
        self._context.sleep(seconds)
