"""`panopticon search rebuild` from the store into a new index, while indexers keep running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Applied
from storage.search.opensearch import OpenSearchIndex
from tests.contracts.examples import deletion, image
from tests.house import House
from tests.storage.search.opensearch.places import Place
from tests.workers.cli.conftest import Panopticon, house, panopticon

__all__ = ["house", "panopticon"]


@pytest.fixture
def search(place: Place, house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearchIndex]:
    """The index of the settings, with two tombstones in it that are in the store as well."""
    monkeypatch.setenv("PANOPTICON_SEARCH", place.url)
    # No setting of the program's.
    monkeypatch.delenv("PANOPTICON_TEST_OPENSEARCH_URL", raising=False)
    house.store.catalogue.put([image(name, event="deleted") for name in "ab"])
    with closing(OpenSearchIndex(place.url)) as index:
        index.create()
        assert index.apply([deletion(name) for name in "ab"]) == [Applied.APPLIED] * 2
        yield index


def test_the_new_index_answers_queries_and_the_former_one_is_kept(
    panopticon: Panopticon, place: Place, search: OpenSearchIndex
) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", stdin=b"a\nb\n")
    assert ran.out == (
        f"2 images rebuilt.\n{place.name}-000001 is kept: panopticon search rebuild --drop-old\n"
    )
    assert place.indexes()[f"{place.name}-000002"] == {place.name}
    assert set(search.get(["a", "b"])) == {"a", "b"}


def test_missing_ids_are_reported_and_the_same_command_continues(
    panopticon: Panopticon, place: Place, search: OpenSearchIndex
) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", stdin=b"a\n")
    assert ran.code == 2
    assert "the new index has 1 documents, and the present one, which stays in use, 2" in ran.err
    assert panopticon("search", "rebuild", "--ids", "-", stdin=b"b\n").code == 0
    assert place.indexes()[f"{place.name}-000002"] == {place.name}
    assert set(search.get(["a", "b"])) == {"a", "b"}


def test_the_former_index_is_dropped_on_request(
    panopticon: Panopticon, place: Place, search: OpenSearchIndex
) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", "--drop-old", "--json", stdin=b"a\nb\n")
    assert (ran.json["former"], ran.json["dropped"]) == (f"{place.name}-000001", [f"{place.name}-000001"])
    assert set(place.indexes()) == {f"{place.name}-000002"}
