"""The OpenSearch index fulfils the contracts of its Protocol."""

from __future__ import annotations

import pytest

from storage.search.opensearch import OpenSearchIndex
from tests.contracts.search_existence import SearchExistenceContract
from tests.contracts.search_index import SearchAccess, SearchIndexContract
from tests.contracts.search_listing import SearchListingContract
from tests.contracts.search_query import SearchQueryContract
from tests.storage.search.opensearch.places import Place


class OpenSearchAccess(SearchAccess):
    place: Place

    @pytest.fixture(autouse=True)
    def _place(self, place: Place) -> None:
        self.place = place

    def open_index(self) -> OpenSearchIndex:
        return OpenSearchIndex(self.place.url)

    def fresh_index(self) -> OpenSearchIndex:
        """Empty the index of the test, since creating another takes longer."""
        self.place.empty()
        index = self.open_index()
        index.create()
        return index

    def settle(self) -> None:
        self.place.refresh()


class TestOpenSearchIndex(OpenSearchAccess, SearchIndexContract):
    pass


class TestOpenSearchExistence(OpenSearchAccess, SearchExistenceContract):
    def lose(self) -> None:
        for index in self.place.indexes():
            self.place.ask("DELETE", f"/{index}")


class TestOpenSearchQuery(OpenSearchAccess, SearchQueryContract):
    pass


class TestOpenSearchListing(OpenSearchAccess, SearchListingContract):
    pass
