"""The record of one backfill: a list of IDs on its way to one model version, and its progress."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from panopticon.results.outputs import VersionName

_KEYS = {"owner": "runner", "heartbeat_at_ms": "fed_at_ms"}
"""Field → its key in the database, for fields that an earlier release named differently."""
_FIELDS = {key: field for field, key in _KEYS.items()}


class BackfillState(StrEnum):
    """The state of a backfill: only a running one submits images."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"

    @property
    def ended(self) -> bool:
        """Return whether the state is final."""
        return self in (BackfillState.CANCELLED, BackfillState.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """The record of one backfill, read whole and replaced whole by compare-and-set."""

    name: str
    """The version and the beginning of the list's digest, such as `tagger@2-1f3a9c0d`."""
    serial: int
    """Number that grows by 1 at each swap."""
    model: str
    version: int
    source: str
    """The source of the IDs, as a person named it."""
    ids_sha256: str
    """Digest of the distinct sorted IDs, each ended by a line feed; empty unless they come from a file."""
    total: int
    """IDs in the list; without a file, the number that there were at the beginning."""
    state: BackfillState
    begun_at_ms: int
    changed_at_ms: int
    by: str
    owner: str = ""
    """The process that runs it; another process takes over by putting its own name here."""
    heartbeat_at_ms: int = 0
    """Time of the owner's last write, by its own clock; it writes every few seconds, even while waiting."""
    cursor: int = 0
    """Number of IDs that have been checked, in the order of their source."""
    after: str = ""
    """The last ID that has been checked."""
    submitted: int = 0
    """Checked IDs that were put on the queue."""
    stored: int = 0
    """Checked IDs that had an output already."""
    skipped: int = 0
    """Checked IDs that were deleted, dead or discarded."""
    unknown: int = 0
    """Checked IDs that are not in the catalogue."""

    @property
    def version_name(self) -> VersionName:
        return VersionName(model=self.model, version=self.version)

    @property
    def left(self) -> int:
        """IDs still to be checked, as far as is known."""
        return max(self.total - self.cursor, 0)

    def changed(self, *, at_ms: int, **fields: object) -> Backfill:
        """Return a changed copy with the next serial, ready to be swapped in."""
        return replace(self, serial=self.serial + 1, changed_at_ms=at_ms, **fields)  # type: ignore[arg-type]


def encode_backfill(backfill: Backfill) -> bytes:
    """Encode the whole record as one UTF-8 JSON value."""
    fields = {_KEYS.get(name, name): value for name, value in asdict(backfill).items()}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode_backfill(body: bytes) -> Backfill:
    """Decode the result of `encode_backfill`."""
    fields = {_FIELDS.get(key, key): value for key, value in json.loads(body).items()}
    return Backfill(**{**fields, "state": BackfillState(fields["state"])})
