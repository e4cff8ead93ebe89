"""The contract of every SearchIndex for the index itself: only a caller who says so creates one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from panopticon.errors import Unavailable
from panopticon.interfaces import Rebuildable, SearchIndex
from panopticon.results.search import Query
from tests.contracts.examples import deletion, part, result
from tests.contracts.search_index import SearchAccess

EVERY_USE: dict[str, Callable[[SearchIndex], Any]] = {
    "apply": lambda index: index.apply([result("a", part())]),
    "get": lambda index: index.get(["a"]),
    "query": lambda index: index.query(Query(parts=("tagger_1",))),
    "image_ids": lambda index: index.image_ids(limit=1),
    "count": lambda index: index.count(),
    "documents": lambda index: index.documents(),
}
every_use = pytest.mark.parametrize("use", EVERY_USE.values(), ids=EVERY_USE)
Use = Callable[[SearchIndex], Any]
WAY_OUT = "there is no .*; to rebuild it: panopticon search rebuild --all"


class SearchExistenceContract(SearchAccess):
    def lose(self) -> None:
        """Delete the index without using the adapter."""
        raise NotImplementedError

    @pytest.fixture
    def unused(self) -> Iterator[SearchIndex]:
        """A client of an index that was never created."""
        with closing(self.open_index()) as index:
            yield index

    def test_there_is_no_index_before_it_is_created(self, unused: SearchIndex) -> None:
        assert not unused.exists()
        unused.create()
        assert unused.exists()
        assert unused.get(["a"]) == {}

    def test_creating_it_again_keeps_its_documents(self, index: SearchIndex) -> None:
        index.apply([result("a", part())])
        index.create()
        assert set(index.get(["a"])) == {"a"}

    @every_use
    def test_no_use_creates_an_index_and_each_names_the_way_out(self, unused: SearchIndex, use: Use) -> None:
        with pytest.raises(Unavailable, match=WAY_OUT):
            use(unused)
        assert not unused.exists()

    @every_use
    def test_an_index_that_is_deleted_while_it_is_in_use_is_not_created_again(
        self, index: SearchIndex, use: Use
    ) -> None:
        index.apply([result("a", part())])
        self.lose()
        with pytest.raises(Unavailable, match=WAY_OUT):
            use(index)
        assert not index.exists()

    def test_a_lost_index_is_created_by_a_rebuild(self, index: SearchIndex) -> None:
        assert isinstance(index, Rebuildable)
        self.lose()
        assert not index.has_rebuild()
        rebuild = index.rebuild()
        assert index.has_rebuild()
        assert index.exists()
        rebuild.apply([result("old", part(cat=0.5))])
        index.apply([result("new", part(cat=0.5))])
        assert rebuild.finish(fewer=False) is None
        self.settle()
        assert index.image_ids(limit=9) == ["new", "old"]

    def test_documents_are_counted_with_tombstones(self, index: SearchIndex) -> None:
        index.apply([result("a", part()), deletion("b")])
        self.settle()
        assert (index.documents(), index.count()) == (2, 1)
