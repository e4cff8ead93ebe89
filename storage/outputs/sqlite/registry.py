"""Model records in SQLite."""

from __future__ import annotations

from panopticon.registry import ModelEntry, decode_entry, encode_entry
from storage.outputs.sqlite.records import SqliteRecords
from storage.sqlite import SqliteDatabase


class SqliteRegistry:
    """A `Registry`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._records = SqliteRecords(database, table="registry", key="model")

    def read(self, model: str) -> ModelEntry | None:
        entry = self._records.read(model)
        return None if entry is None else decode_entry(entry)

    def models(self) -> tuple[str, ...]:
        return self._records.names()

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        return self._records.swap(
            new.model, encode_entry(new), serial=new.serial, expected=expected.serial if expected else None
        )
