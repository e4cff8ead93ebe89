"""The rebuild: a new index next to the live one, and the atomic switch between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Applied
from panopticon.results.search import Query
from storage.search.opensearch import OpenSearchIndex
from tests.contracts.examples import deletion, part, result
from tests.storage.search.opensearch.places import Place

CATS = Query(parts=("tagger_1",), all_of=("cat",), limit=1000)


@pytest.fixture
def index(place: Place) -> Iterator[OpenSearchIndex]:
    with closing(OpenSearchIndex(place.url)) as index:
        index.create()
        yield index


@pytest.fixture
def other(place: Place) -> Iterator[OpenSearchIndex]:
    """A client like an indexer in another process, which has used the index before."""
    with closing(OpenSearchIndex(place.url)) as index:
        index.create()
        yield index


def found(index: OpenSearchIndex, place: Place) -> list[str]:
    place.refresh()
    return [document.image_id for document in index.query(CATS).documents]


def test_the_former_index_answers_until_the_rebuild_is_finished(place: Place, index: OpenSearchIndex) -> None:
    index.apply([result("a", part(cat=0.5))])
    rebuild = index.rebuild()
    rebuild.apply([result("b", part(cat=0.5)), result("c", part(cat=0.5))])
    assert found(index, place) == ["a"]
    rebuild.finish(fewer=False)
    assert found(index, place) == ["b", "c"]


def test_changes_during_a_rebuild_reach_both_indexes(
    place: Place, index: OpenSearchIndex, other: OpenSearchIndex
) -> None:
    rebuild = index.rebuild()
    assert other.apply([result("a", part(cat=0.5))]) == [Applied.APPLIED]
    assert found(other, place) == ["a"]
    rebuild.finish(fewer=False)
    assert found(other, place) == ["a"]


def test_a_delete_during_a_rebuild_is_not_undone_by_older_outputs(
    index: OpenSearchIndex, other: OpenSearchIndex
) -> None:
    other.apply([result("a", part(cat=0.5))])
    rebuild = index.rebuild()
    other.apply([deletion("a")])
    assert rebuild.apply([result("a", part(cat=0.5))]) == [Applied.STALE]
    rebuild.finish(fewer=False)
    assert other.get(["a"])["a"].deleted


def test_a_change_that_is_new_to_one_of_the_two_indexes_counts_as_applied(index: OpenSearchIndex) -> None:
    index.apply([result("a", part(cat=0.5))])
    index.rebuild()
    assert index.apply([result("a", part(cat=0.5))]) == [Applied.APPLIED]
    assert index.apply([result("a", part(cat=0.5))]) == [Applied.STALE]


def test_an_interrupted_rebuild_continues(
    place: Place, index: OpenSearchIndex, other: OpenSearchIndex
) -> None:
    index.rebuild().apply([result("a", part(cat=0.5))])
    resumed = other.rebuild()
    resumed.apply([result("b", part(cat=0.5))])
    resumed.finish(fewer=False)
    assert found(index, place) == ["a", "b"]
    assert set(place.indexes()) == {f"{place.name}-000001", f"{place.name}-000002"}


def test_a_lost_index_is_rebuilt_while_other_clients_write_to_the_new_one(
    place: Place, index: OpenSearchIndex, other: OpenSearchIndex
) -> None:
    place.ask("DELETE", "/{}-000001")
    rebuild = index.rebuild()
    assert other.exists()
    assert other.apply([result("new", part(cat=0.5))]) == [Applied.APPLIED]
    # Until it is finished, an incomplete index must not look like a complete one.
    with pytest.raises(Unavailable, match="a rebuild is under way or was interrupted"):
        found(other, place)
    rebuild.apply([result("old", part(cat=0.5))])
    assert rebuild.finish(fewer=False) is None
    assert found(other, place) == ["new", "old"]


def test_a_rebuild_with_fewer_documents_is_finished_only_on_request(
    place: Place, index: OpenSearchIndex
) -> None:
    index.apply([result(image_id, part(cat=0.5)) for image_id in "abc"])
    rebuild = index.rebuild()
    rebuild.apply([result("a", part(cat=0.5))])
    with pytest.raises(UsageError, match="the new index has 1 documents, and the present one") as raised:
        rebuild.finish(fewer=False)
    assert "pass the missing IDs to the same command, or pass --fewer" in str(raised.value)
    assert found(index, place) == ["a", "b", "c"]
    rebuild.finish(fewer=True)
    assert found(index, place) == ["a"]


def test_the_former_index_is_kept_until_it_is_dropped(place: Place, index: OpenSearchIndex) -> None:
    index.apply([result("a", part(cat=0.5))])
    rebuild = index.rebuild()
    rebuild.apply([result("a", part(cat=0.5))])
    assert rebuild.finish(fewer=False) == f"{place.name}-000001"
    assert place.indexes() == {f"{place.name}-000001": set(), f"{place.name}-000002": {place.name}}
    assert index.drop_former() == [f"{place.name}-000001"]
    assert found(index, place) == ["a"]


def test_only_our_own_indexes_without_an_alias_are_dropped(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}-archive")
    index.rebuild()
    assert index.drop_former() == []
    assert len(place.indexes()) == 3


def test_a_rebuild_that_another_process_finished_is_refused(
    index: OpenSearchIndex, other: OpenSearchIndex
) -> None:
    first, second = index.rebuild(), other.rebuild()
    first.finish(fewer=False)
    with pytest.raises(UsageError, match="another process finished the rebuild"):
        second.apply([result("a", part())])
    with pytest.raises(UsageError, match="another process finished the rebuild"):
        second.finish(fewer=False)


def test_the_next_rebuild_has_the_next_number(place: Place, index: OpenSearchIndex) -> None:
    for _ in range(2):
        index.rebuild().finish(fewer=False)
    index.drop_former()
    assert place.indexes() == {f"{place.name}-000003": {place.name}}


def test_rebuilds_that_begin_at_once_fill_one_index(place: Place, index: OpenSearchIndex) -> None:
    index.get(["a"])

    def begin() -> None:
        with closing(OpenSearchIndex(place.url)) as another:
            another.rebuild()

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.indexes()) == 2


def test_live_writers_lose_nothing_during_rebuilds(place: Place, index: OpenSearchIndex) -> None:
    stopping = threading.Event()
    written: list[list[str]] = [[], []]

    def write(number: int) -> None:
        with closing(OpenSearchIndex(place.url)) as writer:
            while not stopping.is_set():
                names = [f"{number}-{len(written[number]) + step}" for step in range(5)]
                answers = writer.apply([result(name, part(cat=0.5)) for name in names])
                assert answers == [Applied.APPLIED] * 5
                written[number] += names

    threads = [threading.Thread(target=write, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        rebuild = index.rebuild()
        rebuild.apply([result(name, part(cat=0.5)) for names in written for name in list(names)])
        rebuild.finish(fewer=False)
        index.drop_former()
    stopping.set()
    for thread in threads:
        thread.join()
    names = [name for names in written for name in names]
    assert len(index.get(names)) == len(names)
