"""A reproducible sample of the images in search."""

from __future__ import annotations

import hashlib

import pytest

from panopticon.interfaces import SearchIndex
from tests.contracts.examples import part, result
from tests.house import House
from workers.comparison.sample import PAGE, draw_sample

IDS = [f"photo-{number:04}" for number in range(PAGE + 500)]


def hashed(image_id: str) -> bytes:
    return hashlib.sha256(image_id.encode()).digest()


@pytest.fixture
def search(house: House) -> SearchIndex:
    house.search.apply([result(image_id, part(cat=0.5)) for image_id in IDS])
    house.search.apply([result("of-another", part(cat=0.5), name="tagger_2")])
    return house.search


def test_the_ids_with_the_smallest_hash_are_drawn_from_all_pages(search: SearchIndex) -> None:
    sample = draw_sample(search, "tagger_1", 50)
    assert sample.image_ids == tuple(sorted(sorted(IDS, key=hashed)[:50]))
    assert (sample.drawn_from, sample.complete) == (len(IDS), True)


def test_a_smaller_sample_is_part_of_a_larger_one(search: SearchIndex) -> None:
    small, large = draw_sample(search, "tagger_1", 10), draw_sample(search, "tagger_1", 40)
    assert set(small.image_ids) < set(large.image_ids)


def test_a_sample_larger_than_the_index_has_all_ids(search: SearchIndex) -> None:
    assert draw_sample(search, "tagger_1", 100_000).image_ids == tuple(IDS)


def test_an_index_that_is_too_large_is_drawn_from_its_first_pages(search: SearchIndex) -> None:
    sample = draw_sample(search, "tagger_1", 20, max_pages=1)
    assert (sample.drawn_from, sample.complete) == (PAGE, False)
    assert sample.image_ids == tuple(sorted(sorted(IDS[:PAGE], key=hashed)[:20]))


def test_an_index_of_exactly_the_maximum_of_pages_is_complete(search: SearchIndex) -> None:
    assert draw_sample(search, "tagger_1", 20, max_pages=2).complete


def test_a_version_that_is_not_in_search_has_an_empty_sample(search: SearchIndex) -> None:
    sample = draw_sample(search, "tagger_9", 10)
    assert (sample.image_ids, sample.drawn_from, sample.complete) == ((), 0, True)
