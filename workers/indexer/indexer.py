"""Applying results and uploads to catalogue and search, and storing undeliverable messages as failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from panopticon.errors import Unavailable
from panopticon.interfaces import Applied, Broker, Delivery, Queue, SearchIndex, Store
from panopticon.messages import (
    DeletedPublished,
    ImageMessage,
    ImageResult,
    Lane,
    MessageInvalid,
    ModelActivated,
    ModelDeactivated,
    decode_image_message,
    decode_result_message,
    encode,
    from_ms,
    to_ms,
)
from panopticon.metrics import Metrics
from panopticon.results.documents import Change, change_of
from panopticon.results.failure_reasons import INDEX_REFUSED
from panopticon.results.originals import original_uri
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, Output, OutputKey, VersionName
from panopticon.results.undeliverable import BAD_MESSAGE, NO_VERSION, encode_envelope, failure_of
from panopticon.settings import Settings
from workers.indexer.announcements import Announcements
from workers.registry.policy_cache import PolicyCache, result_message
from workers.runtime.parking import Parking

log = logging.getLogger(__name__)

MAX_LIVE = 240
MAX_BACKFILL = 96
"""Backfill messages of one turn while no live one comes. A live message that comes during a turn waits for
that turn and for its own, which together take fewer than 200 backfill messages."""
MAX_BACKFILL_WITH_LIVE = 16
IDLE_WAIT_S = 0.25
REPEATED_MS = 3_600_000
"""The time in which a body that is kept already is not stored again, however often it comes."""
PROBE_ID = "probe"
"""An image ID that is looked up to see whether a part answers; the answer itself does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A change on its way to search."""

    change: Change
    version: VersionName
    """The version that made the change; `NO_VERSION` for a deletion."""
    body: bytes
    """The message that asked for the change."""
    downstream: bytes = b""
    """The message for other consumers, if this indexer has to publish it."""

    @property
    def key(self) -> OutputKey:
        return self.version.key(self.change.image_id, self.change.revision)


class _NotPublished(Unavailable):
    """The error of messages that the broker does not take now, though it may still deliver others."""


class _PacedQueue:
    """A queue that gives larger portions of backfill while no live message comes."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self._max_backfill = MAX_BACKFILL_WITH_LIVE
        self._kept: list[Delivery] = []

    @property
    def has_kept(self) -> bool:
        """Return whether deliveries are kept for the next probe."""
        return bool(self._kept)

    def probe(self) -> list[Delivery]:
        """Return the deliveries that were kept, or else one of each lane."""
        kept, self._kept = self._kept, []
        return kept or self.queue.receive(max_live=1, max_backfill=1, wait_s=0.0)

    def keep(self, deliveries: list[Delivery]) -> None:
        """Keep deliveries for the next probe.

        They are not requeued, since a broker counts that and discards a message in the end.
        """
        self._kept = deliveries

    def receive(self, *, wait_s: float) -> list[Delivery]:
        deliveries = self.queue.receive(max_live=MAX_LIVE, max_backfill=self._max_backfill, wait_s=wait_s)
        is_live = any(delivery.lane is Lane.LIVE for delivery in deliveries)
        self._max_backfill = MAX_BACKFILL_WITH_LIVE if is_live else MAX_BACKFILL
        return deliveries


class Indexer:
    """Applies the messages of three queues, turn by turn. Used by one thread; several indexers may run at the
    same time."""

    def __init__(
        self,
        *,
        settings: Settings,
        broker: Broker,
        store: Store,
        search: SearchIndex,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._uploads = _PacedQueue(broker.catalogue())
        self._results = _PacedQueue(broker.results())
        self._undeliverable = _PacedQueue(broker.undeliverable())
        self._broker = broker
        self._announcements = Announcements(broker, store.registry, clock=clock)
        self._store = store
        self._search = search
        self._metrics = metrics
        self._policies = PolicyCache(store.registry, store.archive, settings, clock=clock)
        self._parking = Parking(max_s=settings.park_max_s, clock=clock, metrics=metrics)
        self._uploads_parking = Parking(max_s=settings.park_max_s, clock=clock, metrics=metrics)
        self._has_index = False
        """True once search has answered, so that the catalogue may be written."""

    @property
    def parked(self) -> Unavailable | None:
        return self._parking.reason or self._uploads_parking.reason

    def refuse_mistakes(self) -> None:
        """Raise UsageError if store or search cannot be used with these settings.

        A part that is only down is not a mistake: `turn` parks then.
        """
        for ask in (self._store.registry.models, self._ask_search):
            with suppress(Unavailable):
                ask()

    def turn(self) -> int:
        """Take and apply waiting messages; return how many. While a part is down, park and return 0."""
        try:
            if self._parking.report_long_outage_once(self._settings.park_hold_s):
                # Other indexers may take the prefetched messages while this one stays parked.
                for paced in (self._uploads, self._results, self._undeliverable):
                    paced.queue.release_prefetched()
            if self._parking.waiting:
                time.sleep(IDLE_WAIT_S)
                return 0
            if self._parking.reason is not None:
                # Store and search must answer before any message is taken.
                self._store.catalogue.get([PROBE_ID])
                self._ask_search()
            elif not self._has_index:
                self._ask_search()
            done = self._uploads_turn() + self._undeliverable_turn()
            done += self._results_turn(wait_s=0.0 if done else IDLE_WAIT_S)
            self._announcements.repeat_if_due()
            self._parking.resume()
        except Unavailable as error:
            self._parking.park(error)
            return 0
        return done

    def _ask_search(self) -> None:
        """Make sure that search answers; create the index of a new installation.

        Must succeed before the first write to the catalogue, after which the list of IDs is not empty.
        Raises: Unavailable if there are images and no index, since an index that has only the newest results
        would look like a complete one; UsageError.
        """
        if not self._search.exists():
            if self._store.images.image_ids(limit=1):
                # It raises the error with the command that rebuilds the index.
                self._search.get([PROBE_ID])
            self._search.create()
        self._has_index = True

    def _uploads_turn(self) -> int:
        """Apply uploads and deletes; while deletes cannot be published, pause these and return 0.

        Results are applied meanwhile, since a broker in an alarm takes no message and has to get rid of them.
        """
        if self._uploads_parking.waiting:
            return 0
        try:
            done = self._catalogue_turn()
        except _NotPublished as error:
            self._uploads_parking.park(error)
            return 0
        self._uploads_parking.resume()
        return done

    def _catalogue_turn(self) -> int:
        with self._received(self._uploads, wait_s=0.0) as deliveries:
            messages = [message for delivery in deliveries if (message := self._image_message(delivery))]
            if messages:
                self._store.catalogue.put([self._catalogue_image(message) for message in messages])
            deletions = [_deletion(message) for message in messages if message.event == "deleted"]
            self._apply(deletions)
            self._publish_downstream(deletions)
            return len(deliveries)

    def _results_turn(self, *, wait_s: float) -> int:
        with self._received(self._results, wait_s=wait_s) as deliveries:
            self._apply_results([step for delivery in deliveries if (step := self._step(delivery))])
            return len(deliveries)

    def _apply_results(self, steps: Sequence[_Step]) -> None:
        """Apply results, those by an older policy as the present policy makes them from the stored output.

        So once every indexer knows a policy, none of them leaves a result by an older one in search. Other
        consumers cannot make these results themselves, so they are published too.
        """
        renewed = self._renewed(steps)
        published = list(renewed.values())
        steps = [renewed.get(position, step) for position, step in enumerate(steps)]
        while steps:
            self._apply(steps)
            # The policy may have changed, or this process been suspended, while they were applied.
            steps = list(self._renewed(steps).values())
            published += steps
        self._publish_downstream(published)

    def _renewed(self, steps: Sequence[_Step]) -> dict[int, _Step]:
        """Return the steps by an older policy as the present one makes them, by position in `steps`.

        A step without a stored output cannot be made again, and is left out.
        """
        late = {position: step for position, step in enumerate(steps) if self._is_late(step)}
        outputs = self._outputs_of(late.values())
        return {
            position: renewed
            for position, step in late.items()
            if (renewed := self._by_present_policy(step, outputs.get(step.key)))
        }

    def _is_late(self, step: _Step) -> bool:
        part = step.change.part
        if part is None:  # It is not a result.
            return False
        entry = self._policies.entry(step.version)
        return entry is not None and part.policy_number < entry.policy_number

    def _outputs_of(self, steps: Collection[_Step]) -> dict[OutputKey, Output]:
        outputs: dict[OutputKey, Output] = {}
        for version in {step.version for step in steps}:
            ids = [step.change.image_id for step in steps if step.version == version]
            outputs |= self._store.outputs.get(ids, version)
        return outputs

    def _by_present_policy(self, step: _Step, output: Output | None) -> _Step | None:
        policy = self._policies.of(step.version)
        if output is None or policy is None:
            return None
        message = result_message(output, policy, occurred_at=from_ms(step.change.occurred_at_ms))
        return _step_of(message, body=step.body, downstream=encode(message))

    def _publish_downstream(self, steps: Sequence[_Step]) -> None:
        """Publish steps that no worker published.

        Where they come back to this indexer, as on a broker with a single queue of results, they are stale
        and by the present policy, so that nothing is published a second time.
        """
        if not steps:
            return
        try:
            self._broker.publish_downstream([step.downstream for step in steps])
        except Unavailable as error:
            raise _NotPublished(error.component, error.reason) from error

    def _undeliverable_turn(self) -> int:
        with self._received(self._undeliverable, wait_s=0.0) as deliveries:
            if deliveries:
                at_ms = int(time.time() * 1000)
                self._keep(failure_of(delivery.body, at_ms=at_ms) for delivery in deliveries)
            return len(deliveries)

    def _keep(self, dead_letters: Iterable[Failure]) -> None:
        """Store dead letters, each body once. One that is kept already is not counted again."""
        latest = {failure.key: failure for failure in dead_letters}
        ids = [key.image_id for key in latest]
        kept_at_ms = {
            failure.key: failure.last_at_ms
            for failure in self._store.outputs.failures_of(ids)
            if failure.state is FailureState.DEAD
        }
        # Each time that is stored is one more entry in the list of its day, for as long as the list is kept.
        due = [
            failure
            for key, failure in latest.items()
            if key not in kept_at_ms or failure.last_at_ms - kept_at_ms[key] >= REPEATED_MS
        ]
        if due:
            self._store.outputs.put_failures(due)
        for failure in due:
            if failure.key not in kept_at_ms:
                version = str(failure.key.version_name)
                self._metrics.count("panopticon_messages_dead_total", model=version, reason=failure.reason)

    @contextmanager
    def _received(self, paced: _PacedQueue, *, wait_s: float) -> Iterator[list[Delivery]]:
        """Yield waiting deliveries: acked when the block ends, requeued at once if a part proves to be down.

        While parked, they are one probe, and are kept for the next one instead of being requeued. So are
        those that wait for a publish: requeued, they could be probed for hours behind others that need none.
        """
        probing = self._parking.reason is not None or paced.has_kept
        deliveries = paced.probe() if probing else paced.receive(wait_s=wait_s)
        try:
            yield deliveries
        except Unavailable as error:
            keeps = probing or isinstance(error, _NotPublished)
            (paced.keep if keeps else paced.queue.requeue)(deliveries)
            raise
        if deliveries:
            paced.queue.ack(deliveries)

    def _image_message(self, delivery: Delivery) -> ImageMessage | None:
        try:
            message = decode_image_message(delivery.body)
            _check_event(message, delivery)
        except MessageInvalid as error:
            self._dead_letter(error)
            return None
        return message

    def _step(self, delivery: Delivery) -> _Step | None:
        try:
            message = decode_result_message(delivery.body)
        except MessageInvalid as error:
            self._dead_letter(error)
            return None
        if isinstance(message, ModelActivated | ModelDeactivated):
            return None
        return _step_of(message, body=delivery.body)

    def _dead_letter(self, error: MessageInvalid) -> None:
        envelope = encode_envelope(error.body, version=NO_VERSION, reason=BAD_MESSAGE, detail=str(error))
        self._undeliverable.queue.submit([envelope], Lane.LIVE)

    def _catalogue_image(self, message: ImageMessage) -> CatalogueImage:
        return CatalogueImage(
            image_id=message.image_id,
            revision=message.revision,
            image_uri=original_uri(message, self._settings.originals),
            event=message.event,
            occurred_at_ms=to_ms(message.occurred_at),
        )

    def _apply(self, steps: Sequence[_Step]) -> None:
        """Apply changes to search; store a failure of each one that it refuses, so that it can be listed and
        is not tried for ever."""
        outcomes = self._search.apply([step.change for step in steps]) if steps else []
        for outcome in outcomes:
            self._metrics.count("panopticon_results_applied_total", outcome=outcome.value)
        refused = [step for step, outcome in zip(steps, outcomes, strict=True) if outcome is Applied.REFUSED]
        if refused:
            log.error("the search index refused changes: panopticon dead list --reason %s", INDEX_REFUSED)
            at_ms = int(time.time() * 1000)
            self._store.outputs.put_failures([_refusal(step, at_ms=at_ms) for step in refused])


def _check_event(message: ImageMessage, delivery: Delivery) -> None:
    """Raise MessageInvalid if the routing key announces another event than the body.

    The key decides which queues a message reaches. An upload under the key of deletes would be in the
    catalogue without any model being sent it, and a delete under the key of uploads is a mistake as well.
    """
    announced = delivery.routing_key.rpartition(".")[2]
    if announced in ("uploaded", "deleted") and announced != message.event:
        key = delivery.routing_key
        raise MessageInvalid(f"the routing key is {key!r}, but the event is {message.event!r}", delivery.body)


def _step_of(message: ImageResult, *, body: bytes, downstream: bytes = b"") -> _Step:
    if isinstance(message, DeletedPublished):
        version = NO_VERSION
    else:
        version = VersionName(model=message.model, version=message.version)
    return _Step(change=change_of(message), version=version, body=body, downstream=downstream)


def _deletion(message: ImageMessage) -> _Step:
    """Return the step of a delete, with the message for other consumers.

    It has the delete's own revision, also if the catalogue has a higher one: every consumer compares it with
    the revision of its document, as search does.
    """
    deleted = DeletedPublished(
        image_id=message.image_id, revision=message.revision, occurred_at=message.occurred_at
    )
    return _step_of(deleted, body=encode(message), downstream=encode(deleted))


def _refusal(step: _Step, *, at_ms: int) -> Failure:
    return Failure(
        key=step.key,
        state=FailureState.DEAD,
        reason=INDEX_REFUSED,
        detail="the search index refused this change; the store has what it was made from",
        attempts=0,
        last_at_ms=at_ms,
        message=step.body,
    )
