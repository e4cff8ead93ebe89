"""The status of every model version: its ledger, its queues, and how many pending images are lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panopticon.depths import Depths, at_work, delayed, total
from panopticon.interfaces import Broker, Store
from panopticon.registry.heartbeats import Heartbeat, ProcessRole
from panopticon.registry.records import VersionState
from panopticon.results.backfills import Backfill
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import VersionName
from panopticon.results.undeliverable import NO_VERSION
from workers.backfill.records import all_backfills
from workers.registry.image_counts import ImageCounter, ImageCounts
from workers.registry.records import all_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """The status of one version at one moment."""

    version: VersionName
    state: VersionState
    depths: Depths
    ledger: Ledger | None
    """None where the store cannot count."""
    in_search: int | None = None
    """Images that queries find with its result; None if search was not, or cannot be, asked."""

    @property
    def waiting(self) -> int:
        """Messages in its queues, in any state."""
        return total(self.depths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The status of all versions that are not retired, and of the other queues, at one moment."""

    at_s: float
    """Seconds on the clock that `take_snapshot` was given."""
    versions: Sequence[VersionStatus]
    catalogue: Depths
    results: Depths
    undeliverable: Depths
    dead_messages: int | None
    """Failures without a version: bodies that could not be read. None where the store cannot count."""
    backfills: Sequence[Backfill]
    """All backfills there ever were, the latest first."""
    images: ImageCounts | None = None
    """None if search was not to be asked."""
    processes: Sequence[Heartbeat] = ()
    """Workers and indexers that run."""

    def workers_of(self, version: VersionName) -> list[Heartbeat]:
        """Return the workers of a version that run."""
        return [each for each in self.processes if each.version == str(version)]

    @property
    def indexers(self) -> list[Heartbeat]:
        """Return the indexers that run."""
        return [each for each in self.processes if each.role is ProcessRole.INDEXER]

    @property
    def busy(self) -> bool:
        """True if a message is in any queue, in any state."""
        others = (self.catalogue, self.results, self.undeliverable)
        return any(map(total, others)) or any(status.waiting for status in self.versions)

    @property
    def under_way(self) -> int:
        """Messages in all queues, in any state."""
        others = (self.catalogue, self.results, self.undeliverable)
        return sum(map(total, others)) + sum(status.waiting for status in self.versions)

    def of(self, version: VersionName) -> VersionStatus | None:
        return next((status for status in self.versions if status.version == version), None)

    def backfill(self, name: str) -> Backfill | None:
        return next((record for record in self.backfills if record.name == name), None)


def take_snapshot(
    store: Store, broker: Broker, *, clock: Callable[[], float], counter: ImageCounter | None = None
) -> Snapshot:
    """Read all queues and ledgers, and let `counter` count the images in search. Raises: Unavailable.

    Queues are read before ledgers, so that an image finished in between is never missed in both.
    """
    if counter:
        counter.count_list()
    catalogue, results = broker.catalogue().depth(), broker.results().depth()
    undeliverable = broker.undeliverable().depth()
    states = {name: entry.state for name, (_, entry) in all_versions(store.registry).items()}
    depths = {
        name: broker.model_queue(name).depth()
        for name, state in states.items()
        if state is not VersionState.RETIRED
    }
    images = counter.count_search(depths) if counter else None
    statuses = [
        VersionStatus(
            version=name,
            state=states[name],
            depths=depth,
            ledger=store.counts.count(name, retired=False) if store.counts else None,
            in_search=images.in_search.get(name) if images else None,
        )
        for name, depth in depths.items()
    ]
    return Snapshot(
        at_s=clock(),
        versions=statuses,
        catalogue=catalogue,
        results=results,
        undeliverable=undeliverable,
        dead_messages=store.counts.dead(NO_VERSION) if store.counts else None,
        backfills=all_backfills(store.backfills),
        processes=store.heartbeats.alive(now_ms=int(time.time() * 1000)),
        images=images,
    )


def worth_settling(snapshot: Snapshot) -> bool:
    """Return whether a second snapshot, `settle_s` later, could show that pending images are lost."""
    return any(_nothing_at_work(snapshot, status) and _missing(status) for status in snapshot.versions)


def settle(
    store: Store,
    broker: Broker,
    first: Snapshot,
    *,
    settle_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    counter: ImageCounter | None = None,
) -> Snapshot:
    """Return a second snapshot, taken as soon as `lost` can decide by it. Raises: Unavailable."""
    sleep(max(first.at_s + settle_s - clock(), 0.0))
    return take_snapshot(store, broker, clock=clock, counter=counter)


def lost(before: Snapshot | None, now: Snapshot, version: VersionName, *, settle_s: float) -> int | None:
    """Return how many pending images are in no queue any more; None while that cannot be decided.

    It is decided by two snapshots at least `settle_s` apart: in both no message of the version is ready or
    leased, the catalogue's queue is empty, and the ledger is the same. Images that wait on a retry delay are
    not lost. A version that uploads do not reach has no lost images, since none was sent to it.
    """
    later = now.of(version)
    if later is None or later.ledger is None:
        return None
    missing = _missing(later)
    # An upload that the catalogue has not applied yet is not in the ledger either.
    if missing == 0:
        return 0 if total(now.catalogue) == 0 else None
    earlier = before.of(version) if before else None
    if before is None or earlier is None or now.at_s - before.at_s < settle_s:
        return None
    quiet = _nothing_at_work(before, earlier) and _nothing_at_work(now, later)
    return missing if quiet and earlier.ledger == later.ledger else None


def images_per_s(before: Snapshot, now: Snapshot, version: VersionName) -> float | None:
    """Return the images stored or dead-lettered per second between two snapshots.

    Where the store cannot count, these are the images that search found in addition: repeated ones and dead
    ones are not among them. None if that is not known either, or if a snapshot lacks the version.
    """
    earlier, later = before.of(version), now.of(version)
    elapsed_s = now.at_s - before.at_s
    if not (earlier and later and elapsed_s > 0):
        return None
    was_done, is_done = _done(earlier), _done(later)
    return None if was_done is None or is_done is None else max(is_done - was_done, 0) / elapsed_s


def _done(status: VersionStatus) -> int | None:
    """Return the images that the version is done with, as far as they can be counted."""
    return status.ledger.stored + status.ledger.dead if status.ledger else status.in_search


def _nothing_at_work(snapshot: Snapshot, status: VersionStatus) -> bool:
    return at_work(status.depths) == 0 and total(snapshot.catalogue) == 0


def _missing(status: VersionStatus) -> int | None:
    """Return how many images ought to have a message that is ready or leased; None if it is not known."""
    if status.ledger is None or not status.state.routed:
        return 0
    on_delay = delayed(status.depths)
    # With fewer messages on a delay than images that wait by their record, some of those may be lost.
    if 0 < on_delay < status.ledger.retrying:
        return None
    return status.ledger.pending - (status.ledger.retrying if on_delay else 0)
