"""Results made by a policy that is no longer the present one are made again by the indexer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from panopticon.cards.cards import ModelCard
from panopticon.interfaces import Applied
from panopticon.messages import Lane, ResultPublished, encode
from panopticon.metrics import Metrics
from panopticon.registry import transitions
from panopticon.registry.transitions import Author
from panopticon.results.documents import Change, Part
from panopticon.results.outputs import Output, OutputKey
from panopticon.settings import Settings
from storage.search.sqlite import SqliteSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from tests.workers.queues.fake_clock import FakeClock
from workers.indexer.indexer import Indexer
from workers.queues.sqlite import SqliteBroker
from workers.registry.register import ensure_registered

ANN = Author(by="ann", at_ms=1)


class InterruptedIndex(SqliteSearchIndex):
    """A search index at which something happens, once, just before changes are applied."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        happens, self.meanwhile = self.meanwhile, lambda: None
        happens()
        return super().apply(changes)


@dataclass(kw_only=True)
class Bench:
    """An indexer with one registered version, `colour@1`; image `a` has an output of it."""

    card: ModelCard
    broker: SqliteBroker
    store: SqliteStore
    search: InterruptedIndex
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        ensure_registered(
            self.card, self.store.registry, self.broker.topology, archive=self.store.archive, by="ann"
        )
        self.store.outputs.put([self.output("a")])
        self.indexer = Indexer(
            settings=Settings(),
            broker=self.broker,
            store=self.store,
            search=self.search,
            metrics=Metrics(),
            clock=self.clock.monotonic,
        )

    def output(self, image_id: str) -> Output:
        return Output(
            key=OutputKey(image_id=image_id, model="colour", version=1, revision=0),
            vector=np.array([0.5, 0.25, 0], dtype="<f4"),
            digest=self.card.digest,
            engine="null",
            libraries="numpy",
            source_sha256="0" * 64,
            width_px=1,
            height_px=1,
            produced_at_ms=1,
        )

    def put_policy(self, toml: str) -> None:
        entry = self.store.registry.read("colour")
        assert entry is not None
        assert self.store.registry.swap(entry, transitions.put_policy(entry, 1, toml, ANN))

    def publish(self, image_id: str, *, policy_number: int) -> None:
        message = ResultPublished(
            image_id=image_id,
            revision=0,
            model="colour",
            version=1,
            policy_number=policy_number,
            scores={"red": 0.5, "green": 0.25, "blue": 0.0},
        )
        self.broker.results().submit([encode(message)], Lane.LIVE)

    def part(self, image_id: str) -> Part:
        self.indexer.turn()
        return self.search.get([image_id])[image_id].parts["colour_1"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    with (
        closing(SqliteStore(url)) as store,
        closing(SqliteBroker(url)) as broker,
        closing(InterruptedIndex(url)) as search,
    ):
        yield Bench(card=write_null_card(tmp_path / "card"), broker=broker, store=store, search=search)


def test_a_late_result_is_made_again_by_the_present_policy(bench: Bench) -> None:
    bench.put_policy('renamed = { red = "rot" }\n')
    bench.publish("a", policy_number=1)
    part = bench.part("a")
    assert (part.policy_number, dict(part.scores)) == (2, {"rot": 0.5, "green": 0.25, "blue": 0})


def test_a_result_by_a_newer_policy_than_the_indexer_knows_is_applied_as_it_is(bench: Bench) -> None:
    bench.publish("a", policy_number=1)
    bench.indexer.turn()
    bench.put_policy('renamed = { red = "rot" }\n')
    bench.publish("a", policy_number=2)
    part = bench.part("a")
    assert (part.policy_number, set(part.scores)) == (2, {"red", "green", "blue"})


def test_a_late_result_without_a_stored_output_is_applied_as_it_is(bench: Bench) -> None:
    bench.put_policy('renamed = { red = "rot" }\n')
    bench.publish("erased", policy_number=1)
    assert bench.part("erased").policy_number == 1


def test_a_policy_is_noticed_within_five_seconds(bench: Bench) -> None:
    bench.publish("a", policy_number=1)
    bench.indexer.turn()
    bench.put_policy("")
    bench.clock.now_s += 5
    bench.publish("a", policy_number=1)
    assert bench.part("a").policy_number == 2


def test_an_indexer_suspended_while_the_policy_changed_leaves_no_result_by_the_old_one(bench: Bench) -> None:
    def suspend() -> None:
        bench.put_policy('renamed = { red = "rot" }\n')
        bench.clock.now_s += 3600

    bench.search.meanwhile = suspend
    bench.publish("a", policy_number=1)
    part = bench.part("a")
    assert (part.policy_number, set(part.scores)) == (2, {"rot", "green", "blue"})


def test_a_result_by_a_policy_not_known_yet_is_kept_when_a_late_one_comes_with_it(bench: Bench) -> None:
    bench.put_policy('renamed = { red = "rot" }\n')
    bench.publish("a", policy_number=2)
    bench.indexer.turn()
    bench.put_policy("")
    bench.publish("a", policy_number=1)
    bench.publish("a", policy_number=3)
    assert bench.part("a").policy_number == 3
