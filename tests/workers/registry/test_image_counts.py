"""Counts of images that need no scan, and when the list of IDs is counted again."""

from __future__ import annotations

import pytest

from panopticon.errors import UsageError
from panopticon.interfaces import SearchIndex
from storage.stores.sqlite import SqliteStore
from storage.stores.sqlite.images import SqliteImageList
from tests.contracts.examples import TAGGER
from tests.house import House
from workers.registry.image_counts import LIST_EVERY_MS, ImageCounter, ImageCounts, lacking


@pytest.fixture
def readings(house: House, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The list counts that were made of a store without a ledger."""
    house.register(TAGGER)
    made: list[int] = []
    real = SqliteImageList.count

    def count(images: SqliteImageList) -> int:
        made.append(real(images))
        return made[-1]

    monkeypatch.setattr(SqliteStore, "counts", None)
    monkeypatch.setattr(SqliteImageList, "count", count)
    return made


def counter_of(house: House) -> ImageCounter:
    return ImageCounter(house.real.store, lambda: house.real.search, now_ms=house.now_ms)


def reading(counter: ImageCounter) -> ImageCounts:
    counter.count_list()
    return counter.count_search([TAGGER])


def test_the_list_of_a_cluster_is_counted_once_a_minute(house: House, readings: list[int]) -> None:
    house.plant("a", "b", "c", outputs={TAGGER: {}})
    counter = counter_of(house)
    first = reading(counter)
    house.clock.now_s += LIST_EVERY_MS / 1000 - 1
    again = reading(counter)
    assert (first.listed_at_ms, again.listed_at_ms) == (first.counted_at_ms, first.counted_at_ms)
    assert again.counted_at_ms > first.counted_at_ms
    house.clock.now_s += 1
    reading(counter)
    assert readings == [3, 3]


def test_a_list_that_has_grown_since_it_was_counted_is_not_incomplete(
    house: House, readings: list[int]
) -> None:
    house.plant("a", outputs={TAGGER: {}})
    counter = counter_of(house)
    counter.count_list()
    house.plant("b", outputs={TAGGER: {}})
    counts = counter.count_search([TAGGER])
    assert (counts.listed, counts.documents, counts.unlisted) == (2, 2, 0)


def test_an_incomplete_list_is_not_counted_at_every_reading(
    house: House, readings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.plant("a", "b", outputs={TAGGER: {}})
    monkeypatch.setattr(SqliteImageList, "count", lambda _: readings.append(1) or 1)
    counter = counter_of(house)
    found = [reading(counter) for _ in range(5)]
    assert [counts.unlisted for counts in found] == [1] * 5
    assert len(readings) == 2


def test_search_that_cannot_be_opened_is_a_problem_and_not_an_error(
    house: House, readings: list[int]
) -> None:
    def without_driver() -> SearchIndex:
        raise UsageError("search: OpenSearch's driver is missing")

    house.plant("a", outputs={TAGGER: {}})
    counts = reading(ImageCounter(house.real.store, without_driver, now_ms=house.now_ms))
    assert (counts.listed, counts.documents, counts.lacking(under_way=0)) == (1, None, 0)
    assert counts.problem == "search: OpenSearch's driver is missing"


@pytest.mark.parametrize(
    ("listed", "documents", "under_way", "expected"),
    [
        (10, 10, 0, 0),
        (10, 0, 0, 10),
        (10, 9, 0, 1),
        (10, 9, 1, 0),
        (1_000_000, 999_000, 0, 0),
        (1_000_000, 998_999, 0, 1001),
        (10, 12, 0, 0),
    ],
)
def test_images_are_missing_beyond_those_on_their_way_and_one_in_a_thousand(
    listed: int, documents: int, under_way: int, expected: int
) -> None:
    assert lacking(listed=listed, documents=documents, under_way=under_way) == expected
