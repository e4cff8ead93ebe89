"""Records in Cassandra, each one JSON value changed by lightweight transactions."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

from panopticon.errors import Unavailable
from storage.stores.cassandra.errors import PART
from storage.stores.cassandra.session import CassandraSession
from storage.stores.cassandra.statements import ADD_ENTRY, NAMES, READ_ENTRY, REPLACE_ENTRY

TRIES = 3


class _Held(NamedTuple):
    serial: int
    operation: UUID
    """Who wrote it: each swap has an ID of its own."""
    entry: str


class CassandraRecords:
    """The records of one scope, which is one partition."""

    def __init__(self, session: CassandraSession, *, scope: str) -> None:
        self._session = session
        self._scope = scope

    def read(self, name: str) -> bytes | None:
        held = self._held(name)
        return None if held is None else held.entry.encode()

    def names(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self._session.rows(NAMES, (self._scope,)))

    def swap(self, name: str, entry: bytes, *, serial: int, expected: int | None) -> bool:
        """`expected`: the serial of the record to be replaced; None: there is none.

        A transaction that timed out may have been applied: who wrote what is there tells the truth.
        """
        operation = uuid4()
        for tried in range(TRIES):
            applied = self._try((serial, operation, entry.decode(), self._scope, name), expected)
            if applied:
                return True
            held = self._held(name)
            if held is not None and held.operation == operation:
                return True
            if applied is None:
                continue
            if tried and held is not None and held.serial > serial:
                break
            return False
        raise Unavailable(PART, f"whether the record of {name} was changed cannot be told")

    def _try(self, row: tuple[int, UUID, str, str, str], expected: int | None) -> bool | None:
        if expected is None:
            return self._session.decide(ADD_ENTRY, row)
        return self._session.decide(REPLACE_ENTRY, (*row, expected))

    def _held(self, name: str) -> _Held | None:
        rows = self._session.rows(READ_ENTRY, (self._scope, name))
        return _Held(*rows[0]) if rows else None
