"""The archive of cards and reports in SQLite."""

from __future__ import annotations

import hashlib

from storage.sqlite.database import SqliteDatabase

_PUT = "INSERT INTO archive (sha256, body) VALUES (?, ?) ON CONFLICT DO NOTHING"

_GET = "SELECT body FROM archive WHERE sha256 = ?"


class SqliteArchive:
    """An `Archive`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def put(self, body: bytes) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        with self._database.writing() as connection:
            connection.execute(_PUT, (sha256, body))
        return sha256

    def get(self, sha256: str) -> bytes | None:
        with self._database.reading() as connection:
            row = connection.execute(_GET, (sha256,)).fetchone()
        return None if row is None else row[0]
