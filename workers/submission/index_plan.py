"""The steps of `panopticon index`: submit what is new, run what is missing, and wait until all is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from panopticon.cards.cards import ModelCard
from panopticon.chunks import CHUNK, chunks
from panopticon.depths import HOPS, total
from panopticon.interfaces import Broker, Store
from panopticon.messages import Lane
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
from workers.submission.submit import Entry, Submission, body_of, publish


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


def begin(
    submission: Submission,
    versions: Sequence[VersionName],
    *,
    store: Store,
    broker: Broker,
    deletions: Sequence[FolderEntry],
    now_ms: int,
) -> Plan:
    """Record what changed in folders, submit what is new, and mark images as deleted; return the plan.

    A run that is interrupted between any two steps is completed by the next one. Raises: Unavailable.
    """
    record(submission.folders, store, now_ms=now_ms)
    stored = use_outputs_again(submission.folders, store)
    replay_readable(submission.folders, store)
    plan = make_plan(submission, versions, store)
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
        # A replayed failure leads to another attempt, so its image is not finished.
        dead = {f.key for f in store.outputs.failures_of(ids) if f.state is not FailureState.REPLAYED}
        for entry in chunk:
            row = known.get(entry.image_id)
            if row is None or row.revision < entry.revision:
                plan.new.append(entry)
                continue
            keys = {version: version.key(entry.image_id, entry.revision) for version in versions}
            lacking = [version for version, key in keys.items() if key not in stored and key not in dead]
            for version in lacking:
                plan.missing[version].append(entry)
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
class Remaining:
    """The number of messages that are still in the queues."""

    images: dict[VersionName, int]
    """Images that the workers of each version have not finished."""
    others: int
    """Results, uploads and undeliverable messages that the indexer has not applied."""

    @property
    def none(self) -> bool:
        """Return whether every queue is empty."""
        return not self.others and not any(self.images.values())


def remaining(broker: Broker, versions: Sequence[VersionName]) -> Remaining:
    """Count the messages in the queues of these versions and of the indexer. Raises: Unavailable."""
    # Model queues first: a worker publishes the result before it acknowledges the image, so what is counted
    # in neither place is done.
    images = {version: total(broker.model_queue(version).depth()) for version in versions}
    others = (broker.results(), broker.catalogue(), broker.undeliverable())
    return Remaining(images=images, others=sum(total(queue.depth()) for queue in others))


def wait_until_done(
    broker: Broker, versions: Sequence[VersionName], *, watch: Callable[[Remaining], None], every_s: float
) -> None:
    """Return once every queue has been empty long enough to be sure that no message is between two queues.

    `watch` gets each reading, one every `every_s` seconds; it may raise to end the wait.
    """
    sure_s, empty_since_s = HOPS * broker.depth_lag_s, math.inf
    while True:
        left, now_s = remaining(broker, versions), time.monotonic()
        watch(left)
        empty_since_s = min(empty_since_s, now_s) if left.none else math.inf
        if now_s - empty_since_s >= sure_s:
            return
        time.sleep(every_s)


def _now_ms() -> int:
    return int(time.time() * 1000)
