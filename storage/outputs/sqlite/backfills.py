"""Records of backfills in SQLite."""

from __future__ import annotations

from panopticon.backfills import Backfill, decode_backfill, encode_backfill
from storage.outputs.sqlite.records import SqliteRecords
from storage.sqlite import SqliteDatabase


class SqliteBackfills:
    """A `Backfills`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._records = SqliteRecords(database, table="backfills", key="name")

    def read(self, name: str) -> Backfill | None:
        entry = self._records.read(name)
        return None if entry is None else decode_backfill(entry)

    def names(self) -> tuple[str, ...]:
        return self._records.names()

    def swap(self, expected: Backfill | None, new: Backfill) -> bool:
        return self._records.swap(
            new.name, encode_backfill(new), serial=new.serial, expected=expected.serial if expected else None
        )
