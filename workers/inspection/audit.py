"""Auditing given image IDs, one by one: the proof that nothing was lost, on any store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from panopticon.chunks import CHUNK, chunks
from panopticon.depths import at_work, delayed, total
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import Lane
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.documents import SearchDocument
from panopticon.results.ledger import State, state_of
from panopticon.results.outputs import CatalogueImage, FailureState, VersionName
from workers.registry.image_record import ImageRecord, by_image
from workers.submission.submit import body_of, entry_of_row


class AuditStatus(StrEnum):
    """The status of one image under one version."""

    STORED = "stored"
    DEAD = "dead"
    SKIPPED = "skipped"
    PENDING = "pending"
    """Not stored yet, or lost: while messages are in the queues, this cannot be decided."""
    LOST = "lost"
    NOT_IN_SEARCH = "not_in_search"
    """Stored, but search does not have it at this revision and policy, and no message is on its way."""
    UNKNOWN = "unknown"
    """Never accepted: the catalogue does not know the ID."""


WRONG = frozenset({AuditStatus.LOST, AuditStatus.NOT_IN_SEARCH, AuditStatus.UNKNOWN})
RETRY_MARGIN_MS = 60_000
"""The time by which a message may return later than its record shows, or its worker's clock may differ."""
REPAIRABLE = frozenset({AuditStatus.LOST, AuditStatus.NOT_IN_SEARCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """The result of auditing one image under one version."""

    image_id: str
    version: VersionName
    status: AuditStatus
    revision: int | None = None
    """The catalogue's revision; None if the catalogue lacks the image, or the registry the version."""
    reason: str = ""
    """The reason of its failure; empty unless it is dead, or waits on a retry delay."""
    next_try_at_ms: int = 0
    """The time until which it waits on a retry delay; 0 if it does not, or if that time is over."""
    overdue: bool = False
    """True if the time until which it waited is over, so that nothing shows where its message is."""
    in_search: bool | None = None
    """True if search has this revision by the present policy; None if search need not have it."""

    @property
    def open(self) -> bool:
        """True if something is missing that may still be on its way, or may be lost."""
        missing = self.status is AuditStatus.PENDING and not self.next_try_at_ms
        return missing or (self.status is AuditStatus.STORED and self.in_search is False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyQueues:
    """Queues without a message in either lane."""

    versions: frozenset[VersionName]
    """Versions without a message that is ready or leased; never one that uploads do not reach."""
    delays: frozenset[VersionName]
    """Versions without a message on a retry delay."""
    catalogue: bool
    results: bool

    def also_in(self, other: EmptyQueues) -> EmptyQueues:
        """Return the queues that are empty here and in `other`."""
        return EmptyQueues(
            versions=self.versions & other.versions,
            delays=self.delays & other.delays,
            catalogue=self.catalogue and other.catalogue,
            results=self.results and other.results,
        )


class Audit:
    """Looks IDs up, chunk by chunk, under given versions. Never scans a table."""

    def __init__(
        self,
        *,
        store: Store,
        search: SearchIndex,
        broker: Broker,
        versions: Mapping[VersionName, VersionEntry],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` returns the time of day in seconds."""
        self._store = store
        self._search = search
        self._broker = broker
        self._versions = versions
        self._clock = clock

    def results(self, image_ids: Sequence[str], *, settle: Callable[[], None]) -> list[AuditResult]:
        """Return one result per ID and version, in order of the IDs.

        If something is missing, `settle` is called once, to let `settle_s` pass, and the missing images are
        looked up again. One is lost if it was missing both times at one revision, and no message was ready or
        leased both times: a message accepted before the first look was in a queue, or done with, at the
        second. Messages on a retry delay do not count, because each has a record, under its image.
        Raises: Unavailable.
        """
        empty = self._empty_queues()
        first = self._look_up(image_ids)
        missing = list(dict.fromkeys(result.image_id for result in first if result.open))
        if not missing:
            return first
        settle()
        empty = empty.also_in(self._empty_queues())
        again = {(result.image_id, result.version): result for result in self._look_up(missing)}
        return [_final(result, again.get((result.image_id, result.version)), empty) for result in first]

    def submit_again(self, results: Sequence[AuditResult], *, now_ms: int) -> int:
        """Put images that are lost, or not in search, on their version's backfill queue; return how many.

        A worker looks backfill up in the store first: a stored image is published again, and not run again.
        Raises: Unavailable.
        """
        submitted = 0
        for version in self._versions:
            ids = [r.image_id for r in results if r.version == version and r.status in REPAIRABLE]
            for chunk in chunks(ids, CHUNK):
                rows = self._store.catalogue.get(chunk)
                bodies = [body_of(entry_of_row(rows[image_id]), now_ms=now_ms) for image_id in chunk]
                self._broker.model_queue(version).submit(bodies, Lane.BACKFILL)
                submitted += len(chunk)
        return submitted

    def _empty_queues(self) -> EmptyQueues:
        routed = (version for version, entry in self._versions.items() if entry.state.routed)
        depths = {version: self._broker.model_queue(version).depth() for version in routed}
        return EmptyQueues(
            versions=frozenset(version for version, queues in depths.items() if not at_work(queues)),
            delays=frozenset(version for version, queues in depths.items() if not delayed(queues)),
            catalogue=not total(self._broker.catalogue().depth()),
            results=not total(self._broker.results().depth()),
        )

    def _look_up(self, image_ids: Sequence[str]) -> list[AuditResult]:
        return [
            audit_result(record, version, entry, now_ms=int(self._clock() * 1000))
            for chunk in chunks(image_ids, CHUNK)
            for record in self._records(chunk)
            for version, entry in self._versions.items()
        ]

    def _records(self, chunk: Sequence[str]) -> list[ImageRecord]:
        """Return records with the outputs of the audited versions only, read by version and not by image."""
        failures = by_image(self._store.outputs.failures_of(chunk))
        rows, documents = self._store.catalogue.get(chunk), self._search.get(chunk)
        stored = [self._store.outputs.get(chunk, version).values() for version in self._versions]
        outputs = by_image(output for found in stored for output in found)
        return [
            ImageRecord(
                image_id=image_id,
                row=rows.get(image_id),
                outputs=outputs.get(image_id, ()),
                failures=failures.get(image_id, ()),
                document=documents.get(image_id),
            )
            for image_id in chunk
        ]


def audit_result(
    record: ImageRecord, version: VersionName, entry: VersionEntry, *, now_ms: int
) -> AuditResult:
    """Return the status of one image under one version, as far as it shows without a look at the queues."""
    row = record.row
    if row is None:
        return _without_row(record, version)
    failure = record.failure(version)
    retired = entry.state is VersionState.RETIRED
    state = state_of(row, has_output=record.has_output(version), failure=failure, retired=retired)
    # Search keeps no parts of retired versions, and nothing of deleted images.
    searchable = state is State.STORED and not retired and not row.deleted
    retrying = failure and state is State.PENDING and failure.state is FailureState.RETRYING
    waits = failure is not None and failure.waits(now_ms=now_ms, margin_ms=RETRY_MARGIN_MS)
    return AuditResult(
        image_id=record.image_id,
        version=version,
        status=AuditStatus(state.value),
        revision=row.revision,
        reason=failure.reason if failure and (retrying or state is State.DEAD) else "",
        next_try_at_ms=failure.retry_at_ms if failure and retrying and waits else 0,
        overdue=bool(retrying) and not waits,
        in_search=_in_search(row, version, entry, record.document) if searchable else None,
    )


def _without_row(record: ImageRecord, version: VersionName) -> AuditResult:
    """Return the result for an ID that the catalogue does not know.

    The image is on its way, or was never submitted, unless it failed before its row was written.
    """
    reasons = [
        failure.reason
        for failure in record.failures
        if failure.key.version_name == version and failure.state is FailureState.DEAD
    ]
    return AuditResult(
        image_id=record.image_id,
        version=version,
        status=AuditStatus.DEAD if reasons else AuditStatus.PENDING,
        reason=reasons[-1] if reasons else "",
    )


def _in_search(
    row: CatalogueImage, version: VersionName, entry: VersionEntry, document: SearchDocument | None
) -> bool:
    if document is None:
        return False
    # Search is ahead of the catalogue, so this revision has been replaced already.
    if document.revision > row.revision:
        return True
    part = document.parts.get(version.part)
    return part is not None and part.rank >= (row.revision, entry.policy_number)


def _final(first: AuditResult, again: AuditResult | None, empty: EmptyQueues) -> AuditResult:
    """Return the result of both looks; `again` is None if nothing was missing at the first look."""
    if again is None:
        return first
    # Found meanwhile, or replaced by a revision that has been on its way for a moment only.
    if not first.open or not again.open or again.revision != first.revision:
        return again
    if again.revision is None:
        return replace(again, status=AuditStatus.UNKNOWN) if empty.catalogue else again
    # A message of it may be in a queue, or a newer revision in the catalogue's.
    if not empty.catalogue or again.version not in empty.versions:
        return again
    # By its record it was on a delay; its worker's clock may be wrong, so it may still be there.
    if again.overdue and again.version not in empty.delays:
        return again
    if again.status is AuditStatus.PENDING:
        return replace(again, status=AuditStatus.LOST)
    if empty.results and first.in_search is False:
        return replace(again, status=AuditStatus.NOT_IN_SEARCH)
    return again
