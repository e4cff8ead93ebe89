"""The Cassandra store fulfils the contracts of its Protocols."""

from __future__ import annotations

import pytest

from panopticon.interfaces import Store
from storage.stores.cassandra import CassandraStore
from tests.contracts.archive import ArchiveContract
from tests.contracts.backfills import BackfillsContract
from tests.contracts.catalogue import CatalogueContract
from tests.contracts.failures import FailuresContract
from tests.contracts.folder_list import FolderListContract
from tests.contracts.heartbeats import HeartbeatsContract
from tests.contracts.image_list import ImageListContract
from tests.contracts.outputs import OutputStoreContract
from tests.contracts.registry import RegistryContract
from tests.contracts.store import StoreAccess
from tests.storage.stores.cassandra.keyspaces import PATIENT, BackDoor


class CassandraAccess(StoreAccess):
    back_door: BackDoor

    @pytest.fixture(autouse=True)
    def _place(self, back_door: BackDoor) -> None:
        self.back_door = back_door

    def open_store(self) -> Store:
        return CassandraStore(self.back_door.url, timeouts=PATIENT)

    def count_rows(self, table: str) -> int:
        return int(self.back_door.run(f"SELECT count(*) FROM {{}}.{table}")[0][0])


class TestCassandraOutputs(CassandraAccess, OutputStoreContract):
    pass


class TestCassandraFailures(CassandraAccess, FailuresContract):
    pass


class TestCassandraCatalogue(CassandraAccess, CatalogueContract):
    pass


class TestCassandraImageList(CassandraAccess, ImageListContract):
    pass


class TestCassandraFolderList(CassandraAccess, FolderListContract):
    pass


class TestCassandraRegistry(CassandraAccess, RegistryContract):
    pass


class TestCassandraBackfills(CassandraAccess, BackfillsContract):
    pass


class TestCassandraArchive(CassandraAccess, ArchiveContract):
    pass


class TestCassandraHeartbeats(CassandraAccess, HeartbeatsContract):
    pass
