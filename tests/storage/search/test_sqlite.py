"""The SQLite search index joins the contract of its Protocol."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from storage.search.sqlite import SqliteSearchIndex
from tests.contracts.search_index import SearchAccess, SearchIndexContract
from tests.contracts.search_query import SearchQueryContract


class SqliteAccess(SearchAccess):
    folder: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open_index(self) -> SqliteSearchIndex:
        return SqliteSearchIndex(f"sqlite:///{self.folder}/panopticon.db")

    def fresh_index(self) -> SqliteSearchIndex:
        return SqliteSearchIndex(f"sqlite:///{tempfile.mkdtemp(dir=self.folder)}/panopticon.db")


class TestSqliteSearchIndex(SqliteAccess, SearchIndexContract):
    pass


class TestSqliteSearchQuery(SqliteAccess, SearchQueryContract):
    pass
