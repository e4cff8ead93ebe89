"""The store in one SQLite file."""

from __future__ import annotations

from functools import cached_property

from panopticon.interfaces import Finding
from storage.sqlite.database import SqliteDatabase
from storage.sqlite.diagnosis import diagnose_file
from storage.stores.registry_and_backfills import RecordedBackfills, RecordedRegistry
from storage.stores.sqlite.archive import SqliteArchive
from storage.stores.sqlite.catalogue import SqliteCatalogue
from storage.stores.sqlite.counts import SqliteLedgerCounts
from storage.stores.sqlite.folder_list import SqliteFolderList
from storage.stores.sqlite.heartbeats import SqliteHeartbeats
from storage.stores.sqlite.images import SqliteImageList
from storage.stores.sqlite.outputs import SqliteOutputStore
from storage.stores.sqlite.records import SqliteRecords


class SqliteStore:
    """A `Store` that opens its file at first use. Only the thread that first uses it may use it."""

    def __init__(self, url: str, *, busy_timeout_s: float = 30.0) -> None:
        """Open nothing yet. Raises: UsageError unless `url` is `sqlite:///…`."""
        self._database = SqliteDatabase(url, part="store", busy_timeout_s=busy_timeout_s)

    @cached_property
    def outputs(self) -> SqliteOutputStore:
        return SqliteOutputStore(self._database)

    @cached_property
    def catalogue(self) -> SqliteCatalogue:
        return SqliteCatalogue(self._database)

    @cached_property
    def images(self) -> SqliteImageList:
        return SqliteImageList(self._database)

    @cached_property
    def folders(self) -> SqliteFolderList:
        return SqliteFolderList(self._database)

    @cached_property
    def registry(self) -> RecordedRegistry:
        return RecordedRegistry(SqliteRecords(self._database, table="registry", key="model"))

    @cached_property
    def backfills(self) -> RecordedBackfills:
        return RecordedBackfills(SqliteRecords(self._database, table="backfills", key="name"))

    @cached_property
    def archive(self) -> SqliteArchive:
        return SqliteArchive(self._database)

    @cached_property
    def heartbeats(self) -> SqliteHeartbeats:
        return SqliteHeartbeats(self._database)

    @cached_property
    def counts(self) -> SqliteLedgerCounts:
        return SqliteLedgerCounts(self._database)

    def diagnose(self) -> list[Finding]:
        return diagnose_file(self._database)

    def close(self) -> None:
        self._database.close()
