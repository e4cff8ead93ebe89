"""`panopticon search rebuild`, from the store into a new index, while indexers go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Applied
from storage.search.opensearch import OpenSearchIndex
from tests.contracts.examples import deletion, image
from tests.storage.search.opensearch.places import Place
from tests.workers.cli.conftest import House, Panopticon, house, panopticon

__all__ = ["house", "panopticon"]


@pytest.fixture
def search(place: Place, house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearchIndex]:
    """The index that the settings name, with two tombstones in it, of which the store knows too."""
    monkeypatch.setenv("PANOPTICON_SEARCH", place.url)
    # No setting of the program's.
    monkeypatch.delenv("PANOPTICON_TEST_OPENSEARCH_URL", raising=False)
    house.store.catalogue.put([image(name, event="deleted") for name in "ab"])
    with closing(OpenSearchIndex(place.url)) as index:
        assert index.apply([deletion(name) for name in "ab"]) == [Applied.APPLIED] * 2
        yield index


def test_a_new_index_answers_afterwards_and_the_former_is_kept(
    panopticon: Panopticon, place: Place, search: OpenSearchIndex
) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", stdin=b"a\nb\n")
    assert ran.out == (
        f"2 images rebuilt.\n{place.name}-000001 is kept: panopticon search rebuild --drop-old\n"
    )
    assert place.indexes()[f"{place.name}-000002"] == {place.name}
    assert set(search.get(["a", "b"])) == {"a", "b"}


def test_ids_that_are_missing_are_told_of_and_the_same_command_goes_on(
    panopticon: Panopticon, place: Place, search: OpenSearchIndex
) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", stdin=b"a\n")
    assert ran.code == 2
    assert "the new index has 1 documents, and the present one, which stays in use, 2" in ran.err
    assert panopticon("search", "rebuild", "--ids", "-", stdin=b"b\n").code == 0
    assert place.indexes()[f"{place.name}-000002"] == {place.name}
    assert set(search.get(["a", "b"])) == {"a", "b"}


def test_the_former_index_is_dropped_when_that_is_said(
    panopticon: Panopticon, place: Place, search: OpenSearchIndex
) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", "--drop-old", "--json", stdin=b"a\nb\n")
    assert (ran.json["former"], ran.json["dropped"]) == (f"{place.name}-000001", [f"{place.name}-000001"])
    assert set(place.indexes()) == {f"{place.name}-000002"}
