"""What became of given IDs, one by one: the proof that nothing was lost, on any store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from panopticon.chunks import CHUNK, chunks
from panopticon.depths import total
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import Lane
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.documents import SearchDocument
from panopticon.results.ledger import State, state_of
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, OutputKey, VersionName
from workers.submission.submit import body_of, entry_of_row


class AuditStatus(StrEnum):
    """What is said of one image under one version."""

    STORED = "stored"
    DEAD = "dead"
    SKIPPED = "skipped"
    PENDING = "pending"
    """Or lost: messages are still under way, so it cannot be decided yet."""
    LOST = "lost"
    NOT_IN_SEARCH = "not_in_search"
    """Stored, but search does not have it at this revision and policy, and nothing is on its way."""
    UNKNOWN = "unknown"
    """Never accepted: the catalogue does not know the ID."""


WRONG = frozenset({AuditStatus.LOST, AuditStatus.NOT_IN_SEARCH, AuditStatus.UNKNOWN})
REPAIRABLE = frozenset({AuditStatus.LOST, AuditStatus.NOT_IN_SEARCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """One image under one version."""

    image_id: str
    version: VersionName
    status: AuditStatus
    revision: int | None = None
    """The catalogue's; None where the catalogue does not know the ID."""
    reason: str = ""
    """Why it is dead."""
    in_search: bool | None = None
    """None where it need not be."""

    @property
    def open(self) -> bool:
        """Whether something is missing that may still be on its way."""
        return self.status is AuditStatus.PENDING or (
            self.status is AuditStatus.STORED and self.in_search is False
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Which queues are empty, in both lanes, in every state. None of a version that is not fed is named."""

    versions: frozenset[VersionName]
    catalogue: bool
    results: bool

    def both(self, other: Quiet) -> Quiet:
        """What is empty at either moment."""
        return Quiet(
            versions=self.versions & other.versions,
            catalogue=self.catalogue and other.catalogue,
            results=self.results and other.results,
        )


class Audit:
    """Looks IDs up, chunk by chunk, under the versions given. Scans nothing."""

    def __init__(
        self,
        *,
        store: Store,
        search: SearchIndex,
        broker: Broker,
        versions: Mapping[VersionName, VersionEntry],
    ) -> None:
        self._store = store
        self._search = search
        self._broker = broker
        self._versions = versions

    def results(self, image_ids: Sequence[str], *, settle: Callable[[], None]) -> list[AuditResult]:
        """One verdict per ID and version, in order of the IDs.

        Where something is missing, `settle` is called once, to let `settle_s` pass, and it is looked at
        again. It is lost if it was missing both times at one revision, and the queues were empty both times:
        what was accepted before the first look was in a queue, or done, at the second.
        """
        quiet = self._quiet()
        first = self._look(image_ids)
        missing = list(dict.fromkeys(result.image_id for result in first if result.open))
        if not missing:
            return first
        settle()
        quiet = quiet.both(self._quiet())
        again = {(result.image_id, result.version): result for result in self._look(missing)}
        return [_decided(result, again.get((result.image_id, result.version)), quiet) for result in first]

    def submit_again(self, results: Sequence[AuditResult], *, now_ms: int) -> int:
        """Put what is lost, or not in search, on its version's backfill queue; says how many.

        A worker looks backfill up in the store first: what is stored is published again, and not run.
        """
        return sum(self._submit_again(version, results, now_ms) for version in self._versions)

    def _submit_again(self, version: VersionName, results: Sequence[AuditResult], now_ms: int) -> int:
        ids = [v.image_id for v in results if v.version == version and v.status in REPAIRABLE]
        for chunk in chunks(ids, CHUNK):
            rows = self._store.catalogue.get(chunk)
            bodies = [body_of(entry_of_row(rows[image_id]), now_ms=now_ms) for image_id in chunk]
            self._broker.model_queue(version).submit(bodies, Lane.BACKFILL)
        return len(ids)

    def _quiet(self) -> Quiet:
        routed = (version for version, entry in self._versions.items() if entry.state.routed)
        queues = {version: self._broker.model_queue(version) for version in routed}
        return Quiet(
            versions=frozenset(version for version, queue in queues.items() if not total(queue.depth())),
            catalogue=not total(self._broker.catalogue().depth()),
            results=not total(self._broker.results().depth()),
        )

    def _look(self, image_ids: Sequence[str]) -> list[AuditResult]:
        return [result for chunk in chunks(image_ids, CHUNK) for result in self._look_at(chunk)]

    def _look_at(self, chunk: Sequence[str]) -> list[AuditResult]:
        failures = {failure.key: failure for failure in self._store.outputs.failures_of(chunk)}
        rows, documents = self._store.catalogue.get(chunk), self._search.get(chunk)
        stored = {version: self._store.outputs.get(chunk, version).keys() for version in self._versions}
        return [
            audit_result(
                image_id,
                version,
                entry,
                row=rows.get(image_id),
                stored=stored[version],
                failures=failures,
                document=documents.get(image_id),
            )
            for image_id in chunk
            for version, entry in self._versions.items()
        ]


def audit_result(
    image_id: str,
    version: VersionName,
    entry: VersionEntry,
    *,
    row: CatalogueImage | None,
    stored: Collection[OutputKey],
    failures: Mapping[OutputKey, Failure],
    document: SearchDocument | None,
) -> AuditResult:
    """Where one image stands with one version, as far as can be told without a look into the queues.

    `stored` and `failures` may hold those of other images and versions too.
    """
    if row is None:
        return _unknown(image_id, version, failures)
    return _known(row, version, entry, stored, failures, document)


def _known(
    row: CatalogueImage,
    version: VersionName,
    entry: VersionEntry,
    stored: Collection[OutputKey],
    failures: Mapping[OutputKey, Failure],
    document: SearchDocument | None,
) -> AuditResult:
    key = OutputKey(
        image_id=row.image_id, model=version.model, version=version.version, revision=row.revision
    )
    failure = failures.get(key)
    retired = entry.state is VersionState.RETIRED
    state = state_of(row, has_output=key in stored, failure=failure, retired=retired)
    searchable = state is State.STORED and not retired and not row.deleted
    return AuditResult(
        image_id=row.image_id,
        version=version,
        status=AuditStatus(state.value),
        revision=row.revision,
        reason=failure.reason if failure and state is State.DEAD else "",
        in_search=_in_search(row, version, entry, document) if searchable else None,
    )


def _unknown(image_id: str, version: VersionName, failures: Mapping[OutputKey, Failure]) -> AuditResult:
    """An ID without a row is on its way, or never came, unless it died before its row was written."""
    reasons = [
        failure.reason
        for key, failure in failures.items()
        if (key.image_id, key.model, key.version) == (image_id, version.model, version.version)
        and failure.state is FailureState.DEAD
    ]
    status = AuditStatus.DEAD if reasons else AuditStatus.PENDING
    return AuditResult(
        image_id=image_id, version=version, status=status, reason=reasons[-1] if reasons else ""
    )


def _in_search(
    row: CatalogueImage, version: VersionName, entry: VersionEntry, document: SearchDocument | None
) -> bool:
    if document is None:
        return False
    if document.revision > row.revision:
        return True
    part = document.parts.get(version.part)
    return part is not None and part.rank >= (row.revision, entry.policy_number)


def _decided(first: AuditResult, again: AuditResult | None, quiet: Quiet) -> AuditResult:
    if again is None or not again.open or not first.open or again.revision != first.revision:
        return again or first
    if again.revision is None:
        return replace(again, status=AuditStatus.UNKNOWN) if quiet.catalogue else again
    if not quiet.catalogue or again.version not in quiet.versions:
        return again
    if again.status is AuditStatus.PENDING:
        return replace(again, status=AuditStatus.LOST)
    return (
        replace(again, status=AuditStatus.NOT_IN_SEARCH)
        if quiet.results and first.in_search is False
        else again
    )
