"""The records of backfills: begin, take over, pause, resume and cancel them from any process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from panopticon.errors import UsageError
from panopticon.interfaces import Backfills, Store
from panopticon.registry.records import VersionState
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.results.outputs import VersionName
from workers.registry.compare_and_set import swap_with_retries
from workers.registry.records import read_version

SHA256_CHARS = 8
FROM_SEARCH = "search"
FROM_LIST = "all"
"""The source, and the second part of the name, of a backfill whose IDs come from search or from the list of
all images; for a file, that part is its digest."""

SILENCE_MS = 30_000
"""A backfill whose record was not written for this time has no owner."""

ENDED_LATELY_MS = 3_600_000
"""A backfill that ended within this time is still shown in the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """The request of a process to run a version over a list of IDs."""

    version: VersionName
    source: str
    ids_sha256: str
    """Empty unless the IDs come from a file."""
    total: int
    by: str
    owner: str

    @property
    def name(self) -> str:
        """Return the name of the backfill, such as `tagger@2-1f3a9c0d`."""
        drawn_from = FROM_LIST if self.source == FROM_LIST else FROM_SEARCH
        return f"{self.version}-{self.ids_sha256[:SHA256_CHARS] or drawn_from}"


def take_up(wanted: BackfillRequest, backfills: Backfills, *, now_ms: int) -> Backfill:
    """Make this process the owner of the backfill, and return its record; a new one if none is in progress.

    Raises: UsageError if another list has the same name and has not ended; Unavailable.
    """

    def taken(known: Backfill | None) -> Backfill:
        if known is None or known.state.ended:
            return _begun(wanted, serial=known.serial + 1 if known else 1, now_ms=now_ms)
        # The name has only the first characters of the digest.
        if known.ids_sha256 != wanted.ids_sha256:
            raise UsageError(
                f"{known.name} is a backfill of another list, {known.source}, and has not ended; "
                f"wait for it, or: panopticon backfill cancel {known.name}"
            )
        return known.changed(at_ms=now_ms, heartbeat_at_ms=now_ms, owner=wanted.owner, source=wanted.source)

    _, record = swap_with_retries(
        lambda: backfills.read(wanted.name), backfills.swap, taken, record=f"the record of {wanted.name}"
    )
    return record


def change_state(name: str, state: BackfillState, backfills: Backfills, *, now_ms: int) -> Backfill:
    """Change the state of a backfill, and return its former record. May be repeated.

    Raises: UsageError for an unknown one, or one that has ended; Unavailable.
    """

    def changed(known: Backfill) -> Backfill:
        if known.state is state:
            return known
        if known.state.ended:
            raise UsageError(f"{name} is {known.state}; to start it again, repeat its command")
        return known.changed(at_ms=now_ms, state=state)

    before, _ = swap_with_retries(
        lambda: known_backfill(name, backfills), backfills.swap, changed, record=f"the record of {name}"
    )
    return before


def cancel_all(version: VersionName, backfills: Backfills, *, now_ms: int) -> None:
    """Cancel every backfill of a version that has not ended. Raises: Unavailable."""
    for record in all_backfills(backfills):
        if record.version_name == version and not record.state.ended:
            with suppress(UsageError):  # It ended by itself meanwhile.
                change_state(record.name, BackfillState.CANCELLED, backfills, now_ms=now_ms)


def known_backfill(name: str, backfills: Backfills) -> Backfill:
    """Return the record of a backfill. Raises: UsageError if there is none; Unavailable."""
    known = backfills.read(name)
    if known is None:
        there = ", ".join(backfills.names())
        raise UsageError(f"unknown backfill {name!r}; known: {there or 'none'}")
    return known


def all_backfills(backfills: Backfills) -> list[Backfill]:
    """Return the records of all backfills, the latest first. Raises: Unavailable."""
    read = [record for name in backfills.names() if (record := backfills.read(name))]
    return sorted(read, key=lambda record: (-record.begun_at_ms, record.name))


def of_interest(records: Sequence[Backfill], *, now_ms: int) -> list[Backfill]:
    """Return the records that have not ended, or that ended within the last hour."""
    return [
        record
        for record in records
        if not record.state.ended or abs(now_ms - record.changed_at_ms) <= ENDED_LATELY_MS
    ]


def has_owner(record: Backfill, *, now_ms: int) -> bool:
    """Return whether a process has written its heartbeat lately.

    One that is far ahead was written before the clock was set back; an owner that lives writes another.
    """
    return not record.state.ended and abs(now_ms - record.heartbeat_at_ms) <= SILENCE_MS


def _begun(wanted: BackfillRequest, *, serial: int, now_ms: int) -> Backfill:
    return Backfill(
        name=wanted.name,
        serial=serial,
        model=wanted.version.model,
        version=wanted.version.version,
        source=wanted.source,
        ids_sha256=wanted.ids_sha256,
        total=wanted.total,
        state=BackfillState.RUNNING,
        begun_at_ms=now_ms,
        changed_at_ms=now_ms,
        heartbeat_at_ms=now_ms,
        by=wanted.by,
        owner=wanted.owner,
    )


def refuse_unrouted(version: VersionName, store: Store) -> None:
    """Raise UsageError unless uploads reach the version. Raises: Unavailable."""
    _, entry = read_version(version, store.registry)
    if entry.state is VersionState.RETIRED:
        raise UsageError(f"{version} is retired and takes no images any more")
    if not entry.state.routed:
        raise UsageError(f"uploads do not reach {version} yet; first: panopticon models shadow {version}")
