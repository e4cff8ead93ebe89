"""The steps of `panopticon index`: submit what is new, run what is missing, and wait until all is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from panopticon.cards.cards import ModelCard
from panopticon.chunks import CHUNK, chunks
from panopticon.depths import HOPS, total
from panopticon.interfaces import Broker, Store
from panopticon.messages import ImageMessage, Lane, decode_image_message
from panopticon.results.folder_entries import FolderEntry
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import FailureState, VersionName
from workers.registry.register import ensure_registered
from workers.submission.folder_record import (
    prune_entries,
    record,
    replay_readable,
    use_outputs_again,
)
from workers.submission.submit import Entry, Submission, as_catalogued, body_of, publish


@dataclass(slots=True, kw_only=True)
class Plan:
    """The work that is left to do for one submission."""

    new: list[Entry] = field(default_factory=list)
    """Images that the catalogue does not know at this revision; every bound version gets them."""
    missing: dict[VersionName, list[Entry]] = field(default_factory=dict)
    """Images that the catalogue knows, by the version that has neither an output nor a failure of them."""
    indexed: int = 0
    """Number of finished images that have an output of every version."""
    dead: int = 0
    """Number of finished images that have a failure of a version in place of its output."""

    @property
    def work(self) -> bool:
        """Return whether anything is left to do."""
        return bool(self.unfinished)

    @property
    def unfinished(self) -> int:
        """Return the number of outputs and failures that are still to come."""
        return len(self.new) * len(self.missing) + sum(map(len, self.missing.values()))

    def without(self, waiting: Mapping[VersionName, Waiting]) -> Plan:
        """Return the work without the images that wait out a retry delay, which are in a queue already."""
        missing = {
            version: entries
            if version not in waiting
            else [entry for entry in entries if not waiting[version].may_have(entry.image_id)]
            for version, entries in self.missing.items()
        }
        return replace(self, missing=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The images of one version that wait out a retry delay."""

    images: int
    messages: Mapping[str, tuple[ImageMessage, int]]
    """Message and end of the delay in ms since 1970, by image ID; empty if the broker cannot list them."""

    def may_have(self, image_id: str) -> bool:
        """Return whether the image is one of them, or may be one."""
        return image_id in self.messages or not self.messages


def begin(
    submission: Submission,
    versions: Sequence[VersionName],
    *,
    store: Store,
    broker: Broker,
    deletions: Sequence[FolderEntry],
    submit: bool,
    now_ms: int,
) -> Plan:
    """Record what changed in folders, submit what is new, and mark images as deleted; return the plan.

    Without `submit`, what is new is left for later. A run that is interrupted between any two steps is
    completed by the next one. Raises: Unavailable.
    """
    record(submission.folders, store, now_ms=now_ms)
    stored = use_outputs_again(submission.folders, store)
    replay_readable(submission.folders, store)
    plan = make_plan(submission, versions, store)
    if submit:
        submit_new(plan, broker, stored=stored)
    prune_entries(deletions, store, broker.uploads, now_ms=now_ms)
    return plan


def make_plan(submission: Submission, versions: Sequence[VersionName], store: Store) -> Plan:
    """Compare a submission with the catalogue, the outputs and the failures, by ID."""
    plan = Plan(missing={version: [] for version in versions})
    for chunk in chunks(submission.entries, CHUNK):
        ids = [entry.image_id for entry in chunk]
        known = store.catalogue.get(ids)
        stored = {key for version in versions for key in store.outputs.get(ids, version)}
        # A failure that is retried or replayed leads to another attempt, so its image is not finished.
        open_states = (FailureState.RETRYING, FailureState.REPLAYED)
        dead = {f.key for f in store.outputs.failures_of(ids) if f.state not in open_states}
        for entry in chunk:
            row = known.get(entry.image_id)
            if row is None or row.revision < entry.revision:
                plan.new.append(entry)
                continue
            keys = {version: version.key(entry.image_id, entry.revision) for version in versions}
            lacking = [version for version, key in keys.items() if key not in stored and key not in dead]
            for version in lacking:
                plan.missing[version].append(as_catalogued(entry, row))
            # An output outweighs a failure: a replay may have succeeded where an earlier attempt failed.
            plan.dead += not lacking and bool(dead & set(keys.values()) - stored)
            plan.indexed += not lacking and stored >= set(keys.values())
    return plan


def ledgers(store: Store, versions: Sequence[VersionName]) -> dict[VersionName, Ledger]:
    """Return the ledger of each version; empty if the store cannot count."""
    counts = store.counts
    return {version: counts.count(version, retired=False) for version in versions} if counts else {}


def register_all(cards: Sequence[ModelCard], store: Store, broker: Broker, *, by: str) -> None:
    """Register every card, and bind its queue. Raises: CardError if one is registered with another digest."""
    for card in cards:
        ensure_registered(card, store.registry, broker.topology, archive=store.archive, by=by)


def submit_new(plan: Plan, broker: Broker, *, stored: Collection[str] = frozenset()) -> None:
    """Publish the new images to every bound version, as an upload service does. Raises: Unavailable.

    Images with IDs in `stored` have outputs already. A worker looks up what is backfill before it runs it.
    """
    publish(
        (entry for entry in plan.new if entry.image_id not in stored),
        broker.uploads,
        Lane.LIVE,
        now_ms=_now_ms(),
    )
    publish(
        (entry for entry in plan.new if entry.image_id in stored),
        broker.uploads,
        Lane.BACKFILL,
        now_ms=_now_ms(),
    )


def submit_missing(plan: Plan, broker: Broker) -> None:
    """Put what is missing on the queue of the version that lacks it, and on no other. Raises: Unavailable."""
    for version, entries in plan.missing.items():
        for chunk in chunks(entries, CHUNK):
            bodies = [body_of(entry, now_ms=_now_ms()) for entry in chunk]
            broker.model_queue(version).submit(bodies, Lane.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """The images of one version that workers have leased."""

    images: int
    until_ms: int
    """The end of the last lease unless it is renewed, in ms since 1970; 0 if leases have no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """The number of messages that are still in the queues."""

    images: dict[VersionName, int]
    """Images that the workers of each version have not finished."""
    leased: dict[VersionName, Leased] = field(default_factory=dict)
    """Those of them that a worker has leased."""
    retrying: dict[VersionName, int] = field(default_factory=dict)
    """Those of them that wait out a retry delay."""
    others: int
    """Results, uploads and undeliverable messages that the indexer has not applied."""

    @property
    def none(self) -> bool:
        """Return whether every queue is empty."""
        return not self.others and not any(self.images.values())

    @property
    def only_retrying(self) -> bool:
        """Return whether every message that is left waits out a retry delay."""
        unfinished = sum(self.images.values())
        return not self.others and 0 < unfinished == sum(self.retrying.values())


def remaining(broker: Broker, versions: Sequence[VersionName]) -> Remaining:
    """Count the messages in the queues of these versions and of the indexer. Raises: Unavailable."""
    # Model queues first: a worker publishes the result before it acknowledges the image, so what is counted
    # in neither place is done.
    depths = {version: broker.model_queue(version).depth() for version in versions}
    others = (broker.results(), broker.catalogue(), broker.undeliverable())
    return Remaining(
        images={version: total(lanes) for version, lanes in depths.items()},
        leased={
            version: Leased(
                images=sum(depth.leased for depth in lanes.values()),
                until_ms=max(depth.leased_until_ms for depth in lanes.values()),
            )
            for version, lanes in depths.items()
        },
        retrying={
            version: sum(depth.retrying for depth in lanes.values()) for version, lanes in depths.items()
        },
        others=sum(total(queue.depth()) for queue in others),
    )


def waiting_images(broker: Broker, versions: Sequence[VersionName]) -> dict[VersionName, Waiting]:
    """Return the images that wait out a retry delay, for each version that has any. Raises: Unavailable."""
    retrying = remaining(broker, versions).retrying
    found: dict[VersionName, Waiting] = {}
    for version, images in retrying.items():
        if images:
            delayed = broker.model_queue(version).delayed(limit=images)
            messages = [(decode_image_message(each.body), each.due_at_ms) for each in delayed]
            found[version] = Waiting(
                images=images, messages={message.image_id: (message, due) for message, due in messages}
            )
    return found


def wait_until_done(
    broker: Broker,
    versions: Sequence[VersionName],
    *,
    watch: Callable[[Remaining], None],
    every_s: float,
    retry_wait_s: float = math.inf,
) -> None:
    """Return once every queue has been empty long enough to be sure that no message is between two queues.

    Messages whose retry delay takes longer than another `retry_wait_s` are not waited for. `watch` gets each
    reading, one every `every_s` seconds; it may raise to end the wait.
    """
    sure_s, empty_since_s = HOPS * broker.depth_lag_s, math.inf
    while True:
        left, now_s = remaining(broker, versions), time.monotonic()
        watch(left)
        done = left.none or (left.only_retrying and _next_due_s(broker, versions) > retry_wait_s)
        empty_since_s = min(empty_since_s, now_s) if done else math.inf
        if now_s - empty_since_s >= sure_s:
            return
        time.sleep(every_s)


def _next_due_s(broker: Broker, versions: Sequence[VersionName]) -> float:
    """Return the seconds until the first retry delay is over; infinite if the broker cannot list them."""
    next_due = [each for version in versions for each in broker.model_queue(version).delayed(limit=1)]
    return min((each.due_at_ms - _now_ms() for each in next_due), default=math.inf) / 1000


def _now_ms() -> int:
    return int(time.time() * 1000)
