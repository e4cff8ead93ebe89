"""Images with a stored output of `tagger@1`, and with a search document by its first policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from panopticon.chunks import chunks
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import Lane, encode
from panopticon.metrics import Metrics
from panopticon.models import find_card
from panopticon.registry import transitions
from panopticon.registry.transitions import Author
from panopticon.results.documents import Part, change_of
from panopticon.results.outputs import Output
from panopticon.settings import Settings
from tests.contracts.examples import TAGGER, image, key, output
from tests.workers.fakes import Journal, QueueFake
from tests.workers.queues.fake_clock import FakeClock
from workers.indexer.indexer import Indexer
from workers.maintenance.republish import Progress, Republished, Republisher
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message
from workers.registry.register import ensure_registered

ANN = Author(by="ann", at_ms=1)
ELEMENTS, TABBY, TIGER = 1000, 281, 282
"""Length of the tagger's vector, and two positions in it: 0.75 and 0.25 in every output here."""

QUIETER = "threshold = 0.5\n"
"""A policy that drops the tiger."""


def output_of(image_id: str, *, revision: int = 0) -> Output:
    vector = np.zeros(ELEMENTS, dtype="<f2")
    vector[TABBY], vector[TIGER] = 0.75, 0.25
    return replace(output(key(image_id, revision=revision)), vector=vector)


@dataclass(kw_only=True)
class PolicyBench:
    """Store, broker and search, and an indexer that works whenever somebody waits."""

    settings: Settings
    store: Store
    broker: Broker
    search: SearchIndex
    clock: FakeClock = field(default_factory=FakeClock)
    indexing: bool = True
    longest_queue: int = 0
    reported: list[str] = field(default_factory=list)
    watch: Callable[[], None] = lambda: None
    """Called after each wait."""
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        ensure_registered(
            find_card(TAGGER),
            self.store.registry,
            self.broker.topology,
            archive=self.store.archive,
            by="ann",
        )
        self.clock.on_sleep = self._index
        self.indexer = Indexer(
            settings=self.settings,
            broker=self.broker,
            store=self.store,
            search=self.search,
            metrics=Metrics(),
            clock=self.clock.monotonic,
        )

    def plant(self, image_ids: Iterable[str], *, revision: int = 0) -> None:
        """Keep images in catalogue, outputs and search, with documents by the first policy."""
        policy = self.policy()
        for chunk in chunks(image_ids, 500):
            outputs = [output_of(image_id, revision=revision) for image_id in chunk]
            self.store.catalogue.put([image(image_id, revision=revision) for image_id in chunk])
            self.store.outputs.put(outputs)
            self.search.apply([change_of(result_message(one, policy, occurred_at=None)) for one in outputs])

    def policy(self) -> ResolvedPolicy:
        """Return the present policy."""
        model = self.store.registry.read("tagger")
        assert model is not None
        return resolve_policy(model, model.versions[0], self.store.archive)

    def number(self) -> int:
        """Return the number of the present policy."""
        return self.policy().policy_number

    def put_policy(self, toml: str = QUIETER) -> None:
        entry = self.store.registry.read("tagger")
        assert entry is not None
        assert self.store.registry.swap(entry, transitions.put_policy(entry, 1, toml, ANN))

    def publish(self, image_ids: Sequence[str], policy: ResolvedPolicy) -> None:
        """Publish results as a worker with this policy does."""
        made = [result_message(output_of(image_id), policy, occurred_at=None) for image_id in image_ids]
        self.broker.results().submit([encode(message) for message in made], Lane.LIVE)

    def part(self, image_id: str) -> Part:
        return self.search.get([image_id])[image_id].parts[TAGGER.part]

    def sleep(self, seconds: float) -> None:
        """Let time pass, in which the indexer works."""
        self.clock.sleep(seconds)

    def _index(self) -> None:
        waiting = self.broker.results().depth()[Lane.BACKFILL].total
        self.longest_queue = max(self.longest_queue, waiting)
        while self.indexing and self.indexer.turn():
            pass
        self.watch()

    def republish(self, image_ids: Sequence[str] | None = None) -> Republished:
        """Republish all documents, or those of these images; the queue of results may be down."""
        republisher = Republisher(
            TAGGER,
            settings=self.settings,
            store=self.store,
            search=self.search,
            results=QueueFake(self.broker.results(), "results", self.journal),
            clock=self.clock,
        )
        return republisher.republish(image_ids, progress=Progress(done=self._done, stalled=self._stalled))

    def _done(self, images: int) -> None:
        self.reported.append(f"{images} done")

    def _stalled(self, results: int) -> None:
        self.reported.append(f"{results} waiting")
        self.indexing = True
