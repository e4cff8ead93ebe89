"""Where every model version stands: its ledger, its queues, and what of the pending is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panopticon.depths import Depths, total
from panopticon.interfaces import Broker, Store
from panopticon.registry.records import VersionState
from panopticon.results.backfills import Backfill
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import VersionName
from workers.backfill.records import all_backfills
from workers.registry.records import registered


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """One version at one moment."""

    version: VersionName
    state: VersionState
    depths: Depths
    ledger: Ledger | None
    """None where the store cannot count."""

    @property
    def waiting(self) -> int:
        """Messages in its queues, in any state."""
        return total(self.depths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All versions that are not retired, and the queues beside theirs, at one moment."""

    at_s: float
    """On the clock it was taken with."""
    versions: Sequence[VersionStatus]
    catalogue: Depths
    results: Depths
    undeliverable: Depths
    backfills: Sequence[Backfill]
    """All there ever were, the latest first."""

    @property
    def busy(self) -> bool:
        """Whether anything waits or is held anywhere."""
        beside = (self.catalogue, self.results, self.undeliverable)
        return any(map(total, beside)) or any(status.waiting for status in self.versions)

    def of(self, version: VersionName) -> VersionStatus | None:
        return next((status for status in self.versions if status.version == version), None)

    def backfill(self, name: str) -> Backfill | None:
        return next((record for record in self.backfills if record.name == name), None)


def take_snapshot(store: Store, broker: Broker, *, clock: Callable[[], float]) -> Snapshot:
    """Queues are read before ledgers, so that an image finished in between is never missed in both."""
    catalogue, results = broker.catalogue().depth(), broker.results().depth()
    undeliverable = broker.undeliverable().depth()
    kept = [(name, entry) for name, entry in registered(store) if entry.state is not VersionState.RETIRED]
    depths = [broker.model_queue(name).depth() for name, _ in kept]
    statuses = [
        VersionStatus(
            version=name,
            state=entry.state,
            depths=depth,
            ledger=store.counts.count(name, retired=False) if store.counts else None,
        )
        for (name, entry), depth in zip(kept, depths, strict=True)
    ]
    return Snapshot(
        at_s=clock(),
        versions=statuses,
        catalogue=catalogue,
        results=results,
        undeliverable=undeliverable,
        backfills=all_backfills(store.backfills),
    )


def worth_settling(snapshot: Snapshot) -> bool:
    """Whether a second reading, `settle_s` later, could tell pending from lost."""
    return any(_quiet(snapshot, status) and _pending(status) for status in snapshot.versions)


def settle(
    store: Store,
    broker: Broker,
    first: Snapshot,
    *,
    settle_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Snapshot:
    """A second reading, after just the time that `lost` asks for."""
    sleep(max(first.at_s + settle_s - clock(), 0.0))
    return take_snapshot(store, broker, clock=clock)


def lost(before: Snapshot | None, now: Snapshot, version: VersionName, *, settle_s: float) -> int | None:
    """How many pending images are in no queue any more; None while that cannot be decided.

    Of a version that is not fed none is lost, for none was sent.
    It is decided by two readings at least `settle_s` apart: in both the version's queues and the
    catalogue's are empty, and the ledger has not moved between them.
    """
    later = now.of(version)
    if later is None or later.ledger is None:
        return None
    if _pending(later) == 0:
        return 0 if total(now.catalogue) == 0 else None
    earlier = before.of(version) if before else None
    if before is None or earlier is None or now.at_s - before.at_s < settle_s:
        return None
    decided = _quiet(before, earlier) and _quiet(now, later) and earlier.ledger == later.ledger
    return later.ledger.pending if decided else None


def images_per_s(before: Snapshot, now: Snapshot, version: VersionName) -> float | None:
    """Images that came to an end between two readings, by the second; None without both."""
    earlier, later = before.of(version), now.of(version)
    elapsed_s = now.at_s - before.at_s
    if not (earlier and later and earlier.ledger and later.ledger and elapsed_s > 0):
        return None
    done = later.ledger.stored + later.ledger.dead - earlier.ledger.stored - earlier.ledger.dead
    return max(done, 0) / elapsed_s


def _quiet(snapshot: Snapshot, status: VersionStatus) -> bool:
    return status.waiting == 0 and total(snapshot.catalogue) == 0


def _pending(status: VersionStatus) -> int:
    """What ought to be on a queue."""
    return status.ledger.pending if status.ledger and status.state.routed else 0
