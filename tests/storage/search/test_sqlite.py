"""The SQLite search index fulfils the contract of its Protocol."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

import storage
from panopticon.results.documents import SearchDocument, encode_document
from storage.search.sqlite import SqliteSearchIndex
from tests.contracts.examples import part
from tests.contracts.search_existence import SearchExistenceContract
from tests.contracts.search_index import SearchAccess, SearchIndexContract
from tests.contracts.search_listing import SearchListingContract
from tests.contracts.search_query import SearchQueryContract

MIGRATIONS = Path(storage.__file__).parent / "sqlite" / "migrations"


class SqliteAccess(SearchAccess):
    folder: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open_index(self) -> SqliteSearchIndex:
        return SqliteSearchIndex(f"sqlite:///{self.folder}/panopticon.db")

    def fresh_index(self) -> SqliteSearchIndex:
        index = SqliteSearchIndex(f"sqlite:///{tempfile.mkdtemp(dir=self.folder)}/panopticon.db")
        index.create()
        return index


class TestSqliteSearchIndex(SqliteAccess, SearchIndexContract):
    pass


class TestSqliteSearchExistence(SqliteAccess, SearchExistenceContract):
    def lose(self) -> None:
        (self.folder / "panopticon.db").unlink()


class TestSqliteSearchQuery(SqliteAccess, SearchQueryContract):
    pass


class TestSqliteSearchListing(SqliteAccess, SearchListingContract):
    pass


def test_documents_of_an_older_schema_are_counted_by_their_parts(tmp_path: Path) -> None:
    document = SearchDocument(image_id="a", revision=0, parts={"tagger_1": part(policy_number=2)})
    with closing(sqlite3.connect(tmp_path / "panopticon.db")) as connection:
        for number in (1, 2, 3):
            (script,) = MIGRATIONS.glob(f"000{number}_*.sql")
            connection.executescript(script.read_text())
        connection.execute("INSERT INTO documents VALUES (1, 'a', 0, 0)")
        connection.execute("INSERT INTO bodies VALUES (1, ?)", (encode_document(document),))
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    with closing(SqliteSearchIndex(f"sqlite:///{tmp_path}/panopticon.db")) as index:
        assert index.image_ids(limit=9, part="tagger_1", policy_below=3) == ["a"]
        assert index.count(["tagger_1"]) == 1
