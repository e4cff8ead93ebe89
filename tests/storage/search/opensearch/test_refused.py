"""A refused change becomes a failure of its image, and affects no other image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.messages import ResultPublished, Tag, encode
from panopticon.results.outputs import Failure, OutputKey, VersionName
from panopticon.results.undeliverable import NO_VERSION
from panopticon.settings import Settings
from tests.house import House, house_of
from tests.storage.search.opensearch.places import Place

GOOD = ResultPublished(image_id="good", revision=2, model="tagger", version=3, policy_number=1)
BAD = GOOD.model_copy(update={"image_id": "bad", "tags": (Tag(label="x" * 40_000, probability=0.5),)})


@pytest.fixture
def house(place: Place, tmp_path: Path) -> Iterator[House]:
    settings = Settings(database=f"sqlite:///{tmp_path / 'house.db'}", search=place.url)
    with house_of(settings) as house:
        yield house


def index(house: House, *messages: ResultPublished) -> None:
    house.publish(*messages)
    assert house.indexer.turn() == len(messages)


def failures(house: House, image_id: str) -> list[Failure]:
    return house.store.outputs.failures_of([image_id])


def test_a_refused_result_is_a_failure_of_its_version_with_its_body(house: House) -> None:
    index(house, BAD)
    (failure,) = failures(house, "bad")
    assert failure.key == OutputKey(image_id="bad", model="tagger", version=3, revision=2)
    assert (failure.reason, failure.message) == ("index_refused", encode(BAD))


def test_the_other_results_of_its_batch_are_indexed(house: House) -> None:
    index(house, BAD, GOOD)
    assert set(house.search.get(["good", "bad"])) == {"good"}
    assert failures(house, "good") == []


def test_a_refused_result_is_not_retried(house: House) -> None:
    index(house, BAD)
    assert sum(depth.total for depth in house.broker.results().depth().values()) == 0
    assert house.indexer.parked is None


def test_a_refused_result_is_counted(house: House) -> None:
    index(house, BAD, GOOD)
    get = house.metrics.registry.get_sample_value
    assert get("panopticon_results_applied_total", {"outcome": "refused"}) == 1
    assert get("panopticon_results_applied_total", {"outcome": "applied"}) == 1


def test_a_refused_result_is_a_failure_of_its_own_version_only(house: House) -> None:
    index(house, BAD)
    assert house.store.outputs.failure_days(NO_VERSION) == []
    assert house.store.outputs.failure_days(VersionName(model="tagger", version=3)) != []
