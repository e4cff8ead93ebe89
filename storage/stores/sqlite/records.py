"""Records in SQLite: JSON values that change by compare-and-set."""

from __future__ import annotations

from storage.sqlite.checksums import checksum
from storage.sqlite.database import SqliteDatabase

_READ = "SELECT entry FROM {table} WHERE {key} = ?"

_NAMES = "SELECT {key} FROM {table} ORDER BY {key}"

_ADD = "INSERT INTO {table} (entry, serial, checksum, {key}) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"

_REPLACE = "UPDATE {table} SET entry = ?, serial = ?, checksum = ? WHERE {key} = ? AND serial = ?"


class SqliteRecords:
    """A `Records` in one table."""

    def __init__(self, database: SqliteDatabase, *, table: str, key: str) -> None:
        self._database = database
        self._read, self._names, self._add, self._replace = (
            statement.format(table=table, key=key) for statement in (_READ, _NAMES, _ADD, _REPLACE)
        )

    def read(self, name: str) -> bytes | None:
        with self._database.reading() as connection:
            row = connection.execute(self._read, (name,)).fetchone()
        return None if row is None else row[0].encode()

    def names(self) -> tuple[str, ...]:
        with self._database.reading() as connection:
            return tuple(name for (name,) in connection.execute(self._names))

    def swap(self, name: str, entry: bytes, *, serial: int, expected: int | None) -> bool:
        text = entry.decode()
        row = (text, serial, checksum((name, serial, text)), name)
        with self._database.writing() as connection:
            if expected is None:
                return connection.execute(self._add, row).rowcount == 1
            return connection.execute(self._replace, (*row, expected)).rowcount == 1
