"""Records of backfills in Cassandra."""

from __future__ import annotations

from panopticon.backfills import Backfill, decode_backfill, encode_backfill
from storage.outputs.cassandra.records import CassandraRecords
from storage.outputs.cassandra.session import CassandraSession


class CassandraBackfills:
    """A `Backfills`."""

    def __init__(self, session: CassandraSession) -> None:
        self._records = CassandraRecords(session, scope="backfills")

    def read(self, name: str) -> Backfill | None:
        entry = self._records.read(name)
        return None if entry is None else decode_backfill(entry)

    def names(self) -> tuple[str, ...]:
        return self._records.names()

    def swap(self, expected: Backfill | None, new: Backfill) -> bool:
        return self._records.swap(
            new.name, encode_backfill(new), serial=new.serial, expected=expected.serial if expected else None
        )
