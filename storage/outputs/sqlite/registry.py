"""Model records in SQLite, each one JSON value changed by compare-and-set."""

from __future__ import annotations

from panopticon.registry import ModelEntry, decode_entry, encode_entry
from storage.sqlite import SqliteDatabase

_READ = "SELECT entry FROM registry WHERE model = ?"

_MODELS = "SELECT model FROM registry ORDER BY model"

_ADD = "INSERT INTO registry (entry, serial, model) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

_REPLACE = "UPDATE registry SET entry = ?, serial = ? WHERE model = ? AND serial = ?"


class SqliteRegistry:
    """A `Registry`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def read(self, model: str) -> ModelEntry | None:
        with self._database.reading() as connection:
            row = connection.execute(_READ, (model,)).fetchone()
        return None if row is None else decode_entry(row[0].encode())

    def models(self) -> tuple[str, ...]:
        with self._database.reading() as connection:
            return tuple(model for (model,) in connection.execute(_MODELS))

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        row = (encode_entry(new).decode(), new.serial, new.model)
        with self._database.writing() as connection:
            if expected is None:
                return connection.execute(_ADD, row).rowcount == 1
            return connection.execute(_REPLACE, (*row, expected.serial)).rowcount == 1
