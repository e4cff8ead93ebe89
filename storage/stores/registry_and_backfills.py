"""The registry and the backfills of every store, kept as records that change by compare-and-set."""

from __future__ import annotations

from typing import Protocol

from panopticon.registry.records import ModelEntry, decode_entry, encode_entry
from panopticon.results.backfills import Backfill, decode_backfill, encode_backfill


class Records(Protocol):
    """A table of JSON values by name, each with a serial number."""

    def read(self, name: str) -> bytes | None:
        """Return a record, or None for an unknown name."""

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""

    def swap(self, name: str, entry: bytes, *, serial: int, expected: int | None) -> bool:
        """Store a record and return True if the present one has the serial `expected` (None: there is none).

        Otherwise change nothing and return False.
        """


class RecordedRegistry:
    """A `Registry` with one record for each model."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def read(self, model: str) -> ModelEntry | None:
        entry = self._records.read(model)
        return None if entry is None else decode_entry(entry)

    def models(self) -> tuple[str, ...]:
        return self._records.names()

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        return self._records.swap(
            new.model, encode_entry(new), serial=new.serial, expected=expected.serial if expected else None
        )


class RecordedBackfills:
    """A `Backfills` with one record for each backfill."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def read(self, name: str) -> Backfill | None:
        entry = self._records.read(name)
        return None if entry is None else decode_backfill(entry)

    def names(self) -> tuple[str, ...]:
        return self._records.names()

    def swap(self, expected: Backfill | None, new: Backfill) -> bool:
        return self._records.swap(
            new.name, encode_backfill(new), serial=new.serial, expected=expected.serial if expected else None
        )
