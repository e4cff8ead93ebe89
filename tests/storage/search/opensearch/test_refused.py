"""A refused change becomes a failure of its image, and affects no other image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import BaseModel

from panopticon.messages import Lane, ResultPublished, Tag, encode
from panopticon.metrics import Metrics
from panopticon.results.outputs import Failure, OutputKey, VersionName
from panopticon.results.undeliverable import NO_VERSION
from panopticon.settings import Settings
from storage.search.opensearch import OpenSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.storage.search.opensearch.places import Place
from workers.indexer.indexer import Indexer
from workers.queues.sqlite import SqliteBroker

GOOD = ResultPublished(image_id="good", revision=2, model="tagger", version=3, policy_number=1)
BAD = GOOD.model_copy(update={"image_id": "bad", "tags": (Tag(label="x" * 40_000, probability=0.5),)})


class Bench:
    """An indexer with a real search index."""

    def __init__(self, folder: Path, search: OpenSearchIndex) -> None:
        url = f"sqlite:///{folder}/house.db"
        self.search = search
        self.store = SqliteStore(url)
        self.broker = SqliteBroker(url)
        self.metrics = Metrics()
        self.indexer = Indexer(
            settings=Settings(), broker=self.broker, store=self.store, search=search, metrics=self.metrics
        )

    def index(self, *messages: BaseModel) -> None:
        self.broker.results().submit([encode(message) for message in messages], Lane.LIVE)
        assert self.indexer.turn() == len(messages)

    def failures(self, image_id: str) -> list[Failure]:
        return self.store.outputs.failures_of([image_id])


@pytest.fixture
def bench(place: Place, tmp_path: Path) -> Iterator[Bench]:
    with closing(OpenSearchIndex(place.url)) as search:
        bench = Bench(tmp_path, search)
        with closing(bench.store), closing(bench.broker):
            yield bench


def test_a_refused_result_is_a_failure_of_its_version_with_its_body(bench: Bench) -> None:
    bench.index(BAD)
    (failure,) = bench.failures("bad")
    assert failure.key == OutputKey(image_id="bad", model="tagger", version=3, revision=2)
    assert (failure.reason, failure.message) == ("index_refused", encode(BAD))


def test_the_other_results_of_its_batch_are_indexed(bench: Bench) -> None:
    bench.index(BAD, GOOD)
    assert set(bench.search.get(["good", "bad"])) == {"good"}
    assert bench.failures("good") == []


def test_a_refused_result_is_not_retried(bench: Bench) -> None:
    bench.index(BAD)
    assert sum(depth.total for depth in bench.broker.results().depth().values()) == 0
    assert bench.indexer.parked is None


def test_a_refused_result_is_counted(bench: Bench) -> None:
    bench.index(BAD, GOOD)
    get = bench.metrics.registry.get_sample_value
    assert get("panopticon_results_applied_total", {"outcome": "refused"}) == 1
    assert get("panopticon_results_applied_total", {"outcome": "applied"}) == 1


def test_a_refused_result_is_a_failure_of_its_own_version_only(bench: Bench) -> None:
    bench.index(BAD)
    assert bench.store.outputs.failure_days(NO_VERSION) == []
    assert bench.store.outputs.failure_days(VersionName(model="tagger", version=3)) != []
