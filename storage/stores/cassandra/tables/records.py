"""Records in Cassandra: JSON values that change by lightweight transactions."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

from panopticon.errors import Unavailable
from storage.stores.cassandra.errors import PART
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import ADD_ENTRY, NAMES, READ_ENTRY, REPLACE_ENTRY

TRIES = 3


class _StoredRecord(NamedTuple):
    serial: int
    operation: UUID
    """The ID of the swap that wrote it; each swap has another."""
    entry: str


class CassandraRecords:
    """A `Records` in one partition, which is named by its scope."""

    def __init__(self, session: CassandraSession, *, scope: str) -> None:
        self._session = session
        self._scope = scope

    def read(self, name: str) -> bytes | None:
        stored = self._stored(name)
        return None if stored is None else stored.entry.encode()

    def names(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self._session.rows(NAMES, (self._scope,)))

    def swap(self, name: str, entry: bytes, *, serial: int, expected: int | None) -> bool:
        """Swap as every `Records` does. Raises: Unavailable, also if the outcome stays unknown."""
        operation = uuid4()
        row = (serial, operation, entry.decode(), self._scope, name)
        for tried in range(TRIES):
            if expected is None:
                applied = self._session.decide(ADD_ENTRY, row)
            else:
                applied = self._session.decide(REPLACE_ENTRY, (*row, expected))
            if applied:
                return True
            # A transaction that timed out may have been applied: the stored operation shows who wrote last.
            stored = self._stored(name)
            if stored is not None and stored.operation == operation:
                return True
            if applied is None:
                continue
            # An earlier try that timed out may have been applied, and replaced by others since then.
            if tried and stored is not None and stored.serial > serial:
                break
            return False
        raise Unavailable(PART, f"it is unknown whether the record of {name} was changed")

    def _stored(self, name: str) -> _StoredRecord | None:
        rows = self._session.rows(READ_ENTRY, (self._scope, name))
        return _StoredRecord(*rows[0]) if rows else None
