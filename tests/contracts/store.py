"""How the suites of a store reach the system under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Store


class StoreAccess:
    """Back doors of one store, empty at the beginning of each test."""

    def open_store(self) -> Store:
        """Another client of the same store."""
        raise NotImplementedError

    def count_rows(self, table: str) -> int:
        """Rows of `outputs`, `failures` or `catalogue`, counted without the store."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with closing(self.open_store()) as store:
            yield store
