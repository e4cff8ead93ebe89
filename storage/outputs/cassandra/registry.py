"""Model records in Cassandra, each one JSON value changed by lightweight transactions."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

from panopticon.errors import Unavailable
from panopticon.registry import ModelEntry, decode_entry, encode_entry
from storage.outputs.cassandra.errors import PART
from storage.outputs.cassandra.session import CassandraSession
from storage.outputs.cassandra.statements import ADD_ENTRY, MODELS, READ_ENTRY, REPLACE_ENTRY

TRIES = 3


class _Held(NamedTuple):
    serial: int
    operation: UUID
    """Who wrote it: each swap has an ID of its own."""
    entry: str


class CassandraRegistry:
    """A `Registry`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    def read(self, model: str) -> ModelEntry | None:
        held = self._held(model)
        return None if held is None else decode_entry(held.entry.encode())

    def models(self) -> tuple[str, ...]:
        return tuple(model for (model,) in self._session.rows(MODELS, ()))

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        """A transaction that timed out may have been applied: who wrote what is there tells the truth."""
        operation = uuid4()
        for tried in range(TRIES):
            applied = self._try(expected, new, operation)
            if applied:
                return True
            held = self._held(new.model)
            if held is not None and held.operation == operation:
                return True
            if applied is None:
                continue
            if tried and held is not None and held.serial > new.serial:
                break
            return False
        raise Unavailable(PART, f"whether the record of {new.model} was changed cannot be told")

    def _try(self, expected: ModelEntry | None, new: ModelEntry, operation: UUID) -> bool | None:
        row = (new.serial, operation, encode_entry(new).decode(), new.model)
        if expected is None:
            return self._session.decide(ADD_ENTRY, row)
        return self._session.decide(REPLACE_ENTRY, (*row, expected.serial))

    def _held(self, model: str) -> _Held | None:
        rows = self._session.rows(READ_ENTRY, (model,))
        return _Held(*rows[0]) if rows else None
