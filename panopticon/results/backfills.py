"""One backfill: a list of IDs on its way to one model version, and how far it has come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from panopticon.results.outputs import VersionName

_KEYS = {"owner": "runner", "heartbeat_at_ms": "fed_at_ms"}
"""Field → its key in the database, where that is the name of an earlier release."""
_FIELDS = {key: field for field, key in _KEYS.items()}


class BackfillState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"

    @property
    def ended(self) -> bool:
        return self in (BackfillState.CANCELLED, BackfillState.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Read whole, and replaced whole by compare-and-set."""

    name: str
    """Such as `tagger@2-1f3a9c0d`: the version, and the beginning of the list's digest."""
    serial: int
    """+1 at each swap."""
    model: str
    version: int
    source: str
    """Where the IDs come from, as a person named it."""
    ids_sha256: str
    """Of its IDs, sorted, each once, each ended by a line feed; empty where they are drawn from search."""
    total: int
    """IDs in the list; where it is drawn from search, those that search held at the beginning."""
    state: BackfillState
    begun_at_ms: int
    changed_at_ms: int
    by: str
    owner: str = ""
    """Names the process that runs it; another process takes over by putting its own name here."""
    heartbeat_at_ms: int = 0
    """When the owner last wrote, by its own clock; it does so every few seconds, whatever it waits for."""
    cursor: int = 0
    """IDs that have been looked at, in the order of their UTF-8 bytes."""
    after: str = ""
    """The last of them."""
    submitted: int = 0
    """Of those looked at: put on the queue."""
    stored: int = 0
    """Of those looked at: there is an output already."""
    skipped: int = 0
    """Of those looked at: deleted, dead, or discarded."""
    unknown: int = 0
    """Of those looked at: not in the catalogue."""

    @property
    def version_name(self) -> VersionName:
        return VersionName(model=self.model, version=self.version)

    @property
    def left(self) -> int:
        """IDs that are still to be looked at, as far as is known."""
        return max(self.total - self.cursor, 0)

    def changed(self, *, at_ms: int, **fields: object) -> Backfill:
        """Ready to be swapped in."""
        return replace(self, serial=self.serial + 1, changed_at_ms=at_ms, **fields)  # type: ignore[arg-type]


def encode_backfill(backfill: Backfill) -> bytes:
    """Encode the whole record as one UTF-8 JSON value."""
    fields = {_KEYS.get(name, name): value for name, value in asdict(backfill).items()}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode_backfill(body: bytes) -> Backfill:
    """Decode what `encode_backfill` made."""
    fields = {_FIELDS.get(key, key): value for key, value in json.loads(body).items()}
    return Backfill(**{**fields, "state": BackfillState(fields["state"])})
