"""A store and a broker that pass calls on, record them in a journal, and fail if a test asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.interfaces import (
    Archive,
    Backfills,
    Broker,
    Catalogue,
    FolderList,
    Heartbeats,
    ImageList,
    LedgerCounts,
    OutputStore,
    Queue,
    Registry,
    Store,
    Topology,
    Uploads,
)
from panopticon.registry.records import ModelEntry
from panopticon.results.backfills import Backfill
from panopticon.results.outputs import VersionName
from tests.workers.fakes import CatalogueFake, Journal, OutputStoreFake, QueueFake


class RegistryFake:
    """A Registry that records calls and passes them to another."""

    def __init__(self, inner: Registry, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def read(self, model: str) -> ModelEntry | None:
        self._journal.note("registry.read")
        return self._inner.read(model)

    def models(self) -> tuple[str, ...]:
        self._journal.note("registry.models")
        return self._inner.models()

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        self._journal.note("registry.swap")
        return self._inner.swap(expected, new)


class BackfillsFake:
    """A Backfills that records calls and passes them to another."""

    def __init__(self, inner: Backfills, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def read(self, name: str) -> Backfill | None:
        self._journal.note("backfills.read")
        return self._inner.read(name)

    def names(self) -> tuple[str, ...]:
        self._journal.note("backfills.names")
        return self._inner.names()

    def swap(self, expected: Backfill | None, new: Backfill) -> bool:
        self._journal.note("backfills.swap")
        return self._inner.swap(expected, new)


class TopologyFake:
    """A Topology that records calls and passes them to another."""

    def __init__(self, inner: Topology, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def bind(self, version: VersionName) -> None:
        self._journal.note("topology.bind")
        self._inner.bind(version)

    def unbind(self, version: VersionName) -> None:
        self._journal.note("topology.unbind")
        self._inner.unbind(version)

    def drop_if_empty(self, version: VersionName, *, idle_s: float = 0.0) -> bool:
        self._journal.note("topology.drop_if_empty")
        return self._inner.drop_if_empty(version, idle_s=idle_s)

    def bound(self) -> tuple[VersionName, ...]:
        return self._inner.bound()


class StoreFake:
    """A Store whose outputs, catalogue, registry and backfills record calls and pass them to another's."""

    def __init__(self, inner: Store, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    @property
    def outputs(self) -> OutputStore:
        return OutputStoreFake(self._inner.outputs, self._journal)

    @property
    def catalogue(self) -> Catalogue:
        return CatalogueFake(self._inner.catalogue, self._journal)

    @property
    def images(self) -> ImageList:
        return self._inner.images

    @property
    def registry(self) -> Registry:
        return RegistryFake(self._inner.registry, self._journal)

    @property
    def backfills(self) -> Backfills:
        return BackfillsFake(self._inner.backfills, self._journal)

    @property
    def archive(self) -> Archive:
        return self._inner.archive

    @property
    def heartbeats(self) -> Heartbeats:
        return self._inner.heartbeats

    @property
    def folders(self) -> FolderList:
        return self._inner.folders

    @property
    def counts(self) -> LedgerCounts | None:
        return self._inner.counts

    def close(self) -> None:
        self._inner.close()


class BrokerFake:
    """A Broker whose topology and queues record calls and pass them to another's."""

    def __init__(self, inner: Broker, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    @property
    def depth_lag_s(self) -> float:
        return self._inner.depth_lag_s

    @property
    def topology(self) -> Topology:
        return TopologyFake(self._inner.topology, self._journal)

    @property
    def uploads(self) -> Uploads:
        return self._inner.uploads

    def model_queue(self, version: VersionName) -> Queue:
        return QueueFake(self._inner.model_queue(version), "queue", self._journal)

    def results(self) -> Queue:
        return QueueFake(self._inner.results(), "results", self._journal)

    def catalogue(self) -> Queue:
        return QueueFake(self._inner.catalogue(), "uploads", self._journal)

    def undeliverable(self) -> Queue:
        return QueueFake(self._inner.undeliverable(), "undeliverable", self._journal)

    def announce(self, body: bytes) -> None:
        self._journal.note("broker.announce")
        self._inner.announce(body)

    def publish_downstream(self, bodies: Sequence[bytes]) -> None:
        self._journal.note("broker.publish_downstream")
        self._inner.publish_downstream(bodies)

    def close(self) -> None:
        self._inner.close()
