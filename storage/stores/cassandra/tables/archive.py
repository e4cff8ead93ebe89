"""The archive of cards and reports in Cassandra."""

from __future__ import annotations

import hashlib

from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import ARCHIVED, PUT_ARCHIVED

ALWAYS_US = 1
"""The timestamp of every write, in microseconds: two writes of one SHA-256 have the same bytes."""


class CassandraArchive:
    """An `Archive`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    def put(self, body: bytes) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        self._session.write_each(PUT_ARCHIVED, [(sha256, body, ALWAYS_US)])
        return sha256

    def get(self, sha256: str) -> bytes | None:
        # The server refuses an empty key.
        if not sha256:
            return None
        rows = self._session.rows(ARCHIVED, (sha256,))
        return bytes(rows[0][0]) if rows else None
