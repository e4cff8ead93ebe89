"""The SQLite store joins the contracts of its Protocols."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.interfaces import Store
from storage.outputs.sqlite import SqliteStore
from tests.contracts.catalogue import CatalogueContract
from tests.contracts.examples import failure, key
from tests.contracts.failures import FailuresContract
from tests.contracts.ledger_counts import LedgerCountsContract
from tests.contracts.outputs import OutputStoreContract
from tests.contracts.registry import RegistryContract
from tests.contracts.store import StoreAccess


class SqliteAccess(StoreAccess):
    path: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "panopticon.db"

    def open_store(self) -> Store:
        return SqliteStore(f"sqlite:///{self.path}")

    def count_rows(self, table: str) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class TestSqliteOutputs(SqliteAccess, OutputStoreContract):
    pass


class TestSqliteFailures(SqliteAccess, FailuresContract):
    def test_a_detail_that_is_no_unicode_does_not_cost_the_failure(self, store: Store) -> None:
        store.outputs.put_failures([replace(failure(key()), detail="a\udcff.jpg")])
        assert [each.detail for each in store.outputs.failures_of(["photo"])] == ["a\\udcff.jpg"]


class TestSqliteCatalogue(SqliteAccess, CatalogueContract):
    pass


class TestSqliteRegistry(SqliteAccess, RegistryContract):
    pass


class TestSqliteLedgerCounts(LedgerCountsContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def fresh_store(self) -> Store:
        return SqliteStore(f"sqlite:///{tempfile.mkdtemp(dir=self.folder)}/panopticon.db")
