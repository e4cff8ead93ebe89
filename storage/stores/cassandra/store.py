"""The store in one Cassandra keyspace."""

from __future__ import annotations

from functools import cached_property

from panopticon.interfaces import Finding
from storage.stores.cassandra.connection import CassandraTimeouts
from storage.stores.cassandra.diagnosis import diagnose_keyspace
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.tables.archive import CassandraArchive
from storage.stores.cassandra.tables.catalogue import CassandraCatalogue, CassandraImageList
from storage.stores.cassandra.tables.folder_list import CassandraFolderList
from storage.stores.cassandra.tables.heartbeats import CassandraHeartbeats
from storage.stores.cassandra.tables.outputs import CassandraOutputStore
from storage.stores.cassandra.tables.records import CassandraRecords
from storage.stores.cassandra.url import address_of
from storage.stores.registry_and_backfills import RecordedBackfills, RecordedRegistry


class CassandraStore:
    """A `Store` that connects at first use, and then migrates the schema of its keyspace."""

    def __init__(self, url: str, *, timeouts: CassandraTimeouts | None = None) -> None:
        """Connect to nothing yet. Raises: UsageError for a URL that does not name a keyspace."""
        self._address = address_of(url)
        self._timeouts = timeouts or CassandraTimeouts()
        self._session = CassandraSession(self._address, timeouts=self._timeouts)

    @cached_property
    def outputs(self) -> CassandraOutputStore:
        return CassandraOutputStore(self._session)

    @cached_property
    def catalogue(self) -> CassandraCatalogue:
        return CassandraCatalogue(self._session, self.images)

    @cached_property
    def images(self) -> CassandraImageList:
        return CassandraImageList(self._session)

    @cached_property
    def folders(self) -> CassandraFolderList:
        return CassandraFolderList(self._session)

    @cached_property
    def registry(self) -> RecordedRegistry:
        return RecordedRegistry(CassandraRecords(self._session, scope="models"))

    @cached_property
    def backfills(self) -> RecordedBackfills:
        return RecordedBackfills(CassandraRecords(self._session, scope="backfills"))

    @cached_property
    def archive(self) -> CassandraArchive:
        return CassandraArchive(self._session)

    @cached_property
    def heartbeats(self) -> CassandraHeartbeats:
        return CassandraHeartbeats(self._session)

    @property
    def counts(self) -> None:
        """None, since counting would scan the tables."""
        return None

    def diagnose(self) -> list[Finding]:
        return diagnose_keyspace(self._address, self._timeouts)

    def close(self) -> None:
        self._session.close()
