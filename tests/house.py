"""One house for tests: store, broker, search and an indexer, and the means to fill and to read them.

A test creates only the object that it is about, from the parts of the house:

    def test_an_erased_image_has_no_output(house: House) -> None:
        house.register(TAGGER)
        house.plant("me", outputs={TAGGER: {"tabby": 0.75}})
        Eraser(store=house.store, search=house.search, broker=house.broker, originals="").erase(["me"], …)
        assert house.real.store.outputs.versions_of("me") == []

`store`, `broker` and `search` record calls in `journal`, which can make them fail. `real` and all methods
of a house, except `index`, bypass it: a test can plant and read while a part is down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from panopticon.cards.cards import ModelCard
from panopticon.chunks import chunks
from panopticon.interfaces import Broker, Delivery, Queue, SearchIndex, Store
from panopticon.messages import ImageMessage, Lane, encode
from panopticon.metrics import Metrics
from panopticon.models import find_card
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry, VersionEntry, VersionState
from panopticon.registry.transitions import Author
from panopticon.results.documents import SearchDocument, change_of
from panopticon.results.outputs import CatalogueImage, Output, VersionName
from panopticon.settings import Settings
from storage.search import open_search
from storage.search.sqlite import SqliteSearchIndex
from storage.stores import open_store
from storage.stores.sqlite import SqliteStore
from tests.contracts.examples import QUALITY, TAGGER, failure, image, key
from tests.recording import BrokerFake, StoreFake
from tests.workers.fakes import Journal, SearchIndexFake
from tests.workers.queues.fake_clock import FakeClock
from workers.indexer.indexer import Indexer
from workers.queues import broker_of
from workers.queues.sqlite import SqliteBroker
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message
from workers.registry.register import ensure_registered

AUTHOR = Author(by="ann", at_ms=1)
Scores = Mapping[str, float]
"""Values of a vector by label; the other elements are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Store, broker and search as they are, with no journal in front."""

    store: Store
    broker: Broker
    search: SearchIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The parts, and what tests do with them. Only sleeping moves `clock`, and calls its `on_sleep`."""

    settings: Settings
    clock: FakeClock
    journal: Journal
    metrics: Metrics
    real: Parts
    store: Store
    broker: Broker
    search: SearchIndex
    indexer: Indexer

    @property
    def url(self) -> str:
        return self.settings.database

    def now_ms(self) -> int:
        """Return the time of the clock in milliseconds since 1970."""
        return round(self.clock.time() * 1000)

    def register(self, *models: VersionName | ModelCard) -> None:
        """Register and bind versions, by card or by the name of one that ships; by default both that ship.

        The first version of a model becomes active, a later one a shadow.
        """
        for model in models or (TAGGER, QUALITY):
            card = find_card(model) if isinstance(model, VersionName) else model
            store, topology = self.real.store, self.real.broker.topology
            ensure_registered(card, store.registry, topology, archive=store.archive, by=AUTHOR.by)

    def plant(
        self,
        *image_ids: str,
        revision: int = 0,
        outputs: Mapping[VersionName, Scores] | None = None,
        failures: Sequence[VersionName] = (),
        document: bool = True,
    ) -> None:
        """Store images: their rows in the catalogue, and outputs and failures of these versions.

        The document of each has a part for each output, made by the present policy of its version.
        """
        policies = {version: self.policy(version) for version in outputs or {}}
        for chunk in chunks(image_ids, 500):
            made = [
                self.output(image_id, version, scores, revision=revision)
                for image_id in chunk
                for version, scores in (outputs or {}).items()
            ]
            failed = [
                failure(key(each, version=version, revision=revision))
                for each in chunk
                for version in failures
            ]
            self.real.store.catalogue.put([image(image_id, revision=revision) for image_id in chunk])
            self.real.store.outputs.put(made)
            self.real.store.outputs.put_failures(failed)
            if document:
                by_policy = [(each, policies[each.key.version_name]) for each in made]
                messages = [result_message(each, policy, occurred_at=None) for each, policy in by_policy]
                self.real.search.apply([change_of(message) for message in messages])

    def output(self, image_id: str, version: VersionName, scores: Scores, *, revision: int = 0) -> Output:
        """Return an output of a registered version, which is not stored."""
        entry = self.version(version)
        vector = np.zeros(len(entry.labels), dtype="<f4")
        for label, score in scores.items():
            vector[entry.labels.index(label)] = score
        return Output(
            key=key(image_id, version=version, revision=revision),
            vector=vector,
            digest=entry.digest,
            engine="null",
            libraries="null 1",
            source_sha256="5" * 64,
            width_px=640,
            height_px=480,
            produced_at_ms=self.now_ms(),
        )

    def model(self, name: str) -> ModelEntry:
        """Return the registry's record of a model that is registered."""
        entry = self.real.store.registry.read(name)
        assert entry is not None
        return entry

    def version(self, version: VersionName) -> VersionEntry:
        """Return the registry's record of a version that is registered."""
        entry = self.model(version.model).version(version.version)
        assert entry is not None
        return entry

    def set_state(self, version: VersionName, state: VersionState) -> None:
        """Give a version a state, from any other one, and leave its queues as they are."""

        def changed(entry: ModelEntry) -> ModelEntry:
            if entry.active == version and state is not VersionState.ACTIVE:
                entry = transitions.deactivate(entry, AUTHOR)
            of_version = replace(self.version(version), state=state)
            return entry.with_version(of_version, AUTHOR.did(f"{state} {version}"))

        self.change(version, changed)

    def policy(self, version: VersionName) -> ResolvedPolicy:
        """Return the present policy of a registered version."""
        return resolve_policy(self.model(version.model), self.version(version), self.real.store.archive)

    def put_policy(self, version: VersionName, toml: str) -> None:
        """Give a version its next policy."""
        self.change(version, lambda entry: transitions.put_policy(entry, version.version, toml, AUTHOR))

    def retire(self, version: VersionName) -> None:
        """Retire a version, also one that is active."""
        self.set_state(version, VersionState.RETIRED)

    def change(self, version: VersionName, transition: Callable[[ModelEntry], ModelEntry]) -> None:
        """Store the record of a version's model as this function changes it."""
        entry = self.model(version.model)
        assert self.real.store.registry.swap(entry, transition(entry))

    def index(self) -> None:
        """Let the indexer work until its queues are empty, or until it parks."""
        while self.indexer.turn():
            pass

    def row(self, image_id: str) -> CatalogueImage:
        """Return the catalogue's row of an image that it knows."""
        return self.real.store.catalogue.get([image_id])[image_id]

    def document(self, image_id: str) -> SearchDocument:
        """Return the document of an image that search has."""
        return self.real.search.get([image_id])[image_id]

    def submit(self, *messages: ImageMessage, lane: Lane = Lane.LIVE) -> None:
        """Submit images, for the catalogue and for every bound version."""
        self.real.broker.uploads.publish(messages, lane)

    def publish(self, *messages: BaseModel, lane: Lane = Lane.LIVE) -> None:
        """Publish results, and what else workers send to the queue of results."""
        self.real.broker.results().submit([encode(message) for message in messages], lane)

    def take(self, queue: Queue, *, count: int = 1000) -> list[Delivery]:
        """Receive at most this number of messages from each lane of a queue, and ack them."""
        deliveries = queue.receive(max_live=count, max_backfill=count, wait_s=0)
        queue.ack(deliveries)
        return deliveries

    def waiting(self, version: VersionName = TAGGER) -> list[bytes]:
        """Take the messages that wait for a version; return their bodies."""
        return [delivery.body for delivery in self.take(self.real.broker.model_queue(version))]


@contextmanager
def open_house(folder: Path, **settings: object) -> Iterator[House]:
    """Yield an empty house on one SQLite file, with these settings, closed after the block."""
    url, clock = f"sqlite:///{folder / 'house.db'}", FakeClock()
    chosen = Settings.model_validate({"database": url, "cache_dir": folder / "cache", **settings})
    with (
        closing(SqliteStore(url)) as store,
        closing(SqliteBroker(url, lease_s=chosen.lease_s, clock=clock)) as broker,
        closing(SqliteSearchIndex(url)) as search,
    ):
        search.create()
        yield _house(chosen, Parts(store=store, broker=broker, search=search), clock)


@contextmanager
def house_of(settings: Settings) -> Iterator[House]:
    """Yield a house of the parts that the settings name, which processes may share, closed after the block.

    Its broker has the real time. Its clock, which begins with it, is that of its indexer and outputs.
    """
    with closing(open_store(settings.store_url)) as store, closing(broker_of(settings)) as broker:
        search = open_search(settings.search_url)
        # A file is always there; a server may be down, or its index missing, which is up to the test.
        if isinstance(search, SqliteSearchIndex):
            search.create()
        parts = Parts(store=store, broker=broker, search=search)
        yield _house(settings, parts, FakeClock(time.time()))


def _house(settings: Settings, real: Parts, clock: FakeClock) -> House:
    journal, metrics = Journal(), Metrics()
    store = StoreFake(real.store, journal)
    broker = BrokerFake(real.broker, journal)
    search = SearchIndexFake(real.search, journal)
    return House(
        settings=settings,
        clock=clock,
        journal=journal,
        metrics=metrics,
        real=real,
        store=store,
        broker=broker,
        search=search,
        indexer=Indexer(
            settings=settings,
            store=store,
            broker=broker,
            search=search,
            metrics=metrics,
            clock=clock.monotonic,
        ),
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty house with the default settings; a module that needs others has a fixture of the same name."""
    with open_house(tmp_path) as house:
        yield house
