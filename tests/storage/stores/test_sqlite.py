"""The SQLite store fulfils the contracts of its Protocols."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.interfaces import Store
from storage.stores.sqlite import SqliteStore
from tests.contracts.archive import ArchiveContract
from tests.contracts.backfills import BackfillsContract
from tests.contracts.catalogue import CatalogueContract
from tests.contracts.failures import FailuresContract
from tests.contracts.folder_list import FolderListContract
from tests.contracts.heartbeats import HeartbeatsContract
from tests.contracts.image_list import ImageListContract
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
    pass


class TestSqliteCatalogue(SqliteAccess, CatalogueContract):
    pass


class TestSqliteImageList(SqliteAccess, ImageListContract):
    pass


class TestSqliteFolderList(SqliteAccess, FolderListContract):
    pass


class TestSqliteRegistry(SqliteAccess, RegistryContract):
    pass


class TestSqliteBackfills(SqliteAccess, BackfillsContract):
    pass


class TestSqliteArchive(SqliteAccess, ArchiveContract):
    pass


class TestSqliteHeartbeats(SqliteAccess, HeartbeatsContract):
    pass


class TestSqliteLedgerCounts(LedgerCountsContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def fresh_store(self) -> Store:
        return SqliteStore(f"sqlite:///{tempfile.mkdtemp(dir=self.folder)}/panopticon.db")
