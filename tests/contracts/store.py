"""The access of the suites to the store under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Store


class StoreAccess:
    """The access to one store, which is empty at the beginning of each test."""

    def open_store(self) -> Store:
        """Open another client of the same store."""
        raise NotImplementedError

    def count_rows(self, table: str) -> int:
        """Count the rows of `outputs`, `failures` or `catalogue` without using the store."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with closing(self.open_store()) as store:
            yield store
