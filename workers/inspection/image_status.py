"""Where one image stands with each model version, in search too, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from panopticon.depths import Depths, total
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.documents import Part
from panopticon.results.failure_reasons import INDEX_REFUSED
from panopticon.results.ledger import state_of
from panopticon.results.outputs import Failure, FailureState, OutputKey, VersionName
from panopticon.results.undeliverable import NO_VERSION
from workers.inspection.audit import AuditResult, AuditStatus, audit_result
from workers.inspection.image_record import ImageRecord
from workers.registry.records import Registered


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStatus:
    """One image and one version."""

    version: VersionName
    entry: VersionEntry | None
    """None if the registry does not know the version."""
    result: AuditResult
    answers: bool
    """Whether queries are answered from this version."""
    part: Part | None
    """What search has of it."""
    behind: tuple[str, ...]
    """In what that part is older than what is known elsewhere."""
    why: str
    """Such as `in search`, or `corrupt`: what is to be said beside the mark."""
    next_step: str = ""
    """What a person can type about it."""


def statuses(
    record: ImageRecord, registered: Registered, depths: Mapping[VersionName, Depths]
) -> list[ImageStatus]:
    """Of every version that is fed, and of every other one that something is kept of, ordered by name.

    An ID that the catalogue does not know owes nothing to a version that nothing is kept of.
    `depths`: the queues of pending versions, as far as they could be asked.
    """
    return [_status(version, record, registered, depths) for version in _versions(record, registered)]


def pending_versions(record: ImageRecord, registered: Registered) -> list[VersionName]:
    """Those whose queues are worth a look."""
    return [
        status.version
        for status in statuses(record, registered, {})
        if status.result.status is AuditStatus.PENDING and status.entry and status.entry.state.routed
    ]


def next_step(failure: Failure) -> str:
    """What can be typed about a failure; empty for one that is history."""
    image_id = shlex.quote(failure.key.image_id)
    if failure.state is not FailureState.DEAD:
        return ""
    if failure.reason == INDEX_REFUSED:
        return f"{_audit(failure.key.image_id)} --fix"
    if failure.key.version_name == NO_VERSION:
        return f"panopticon dead discard {image_id}"
    return f"panopticon dead replay {image_id}"


def part_owner(part: str, registered: Registered) -> VersionName | None:
    """Whose part of a document this is; None if no version of that name is known."""
    return next((name for name in registered if name.part == part), None)


def _versions(record: ImageRecord, registered: Registered) -> list[VersionName]:
    kept = {output.key.version_name for output in record.outputs}
    kept |= {failure.key.version_name for failure in record.failures}
    parts = record.document.parts if record.document else {}
    kept |= {owner for part in parts if (owner := part_owner(part, registered))}
    routed = {name for name, (_, entry) in registered.items() if entry.state.routed and record.row}
    return sorted((kept | routed) - {NO_VERSION})


def _status(
    version: VersionName,
    record: ImageRecord,
    registered: Registered,
    depths: Mapping[VersionName, Depths],
) -> ImageStatus:
    model, entry = registered.get(version, (None, None))
    part = record.document.parts.get(version.part) if record.document else None
    result = _result(version, entry, record)
    why, next_step = _told(record, result, entry, part, depths.get(version))
    return ImageStatus(
        version=version,
        entry=entry,
        result=result,
        answers=model is not None and model.active == version,
        part=part,
        behind=tuple(_behind(record, entry, part)) if part else (),
        why=why,
        next_step=next_step,
    )


def _result(version: VersionName, entry: VersionEntry | None, record: ImageRecord) -> AuditResult:
    stored = {output.key for output in record.outputs}
    failures = {failure.key: failure for failure in record.failures}
    if entry is not None:
        return audit_result(
            record.image_id,
            version,
            entry,
            row=record.row,
            stored=stored,
            failures=failures,
            document=record.document,
        )
    key = _key(version, record)
    failure = failures.get(key)
    state = state_of(record.row, has_output=key in stored, failure=failure, retired=True)
    reason = failure.reason if failure and state.value == AuditStatus.DEAD else ""
    return AuditResult(
        image_id=record.image_id, version=version, status=AuditStatus(state.value), reason=reason
    )


def _key(version: VersionName, record: ImageRecord) -> OutputKey:
    """At the catalogue's revision; at -1, where nothing is, if it does not know the image."""
    return OutputKey(
        image_id=record.image_id,
        model=version.model,
        version=version.version,
        revision=record.row.revision if record.row else -1,
    )


def _behind(record: ImageRecord, entry: VersionEntry | None, part: Part) -> Iterator[str]:
    if record.row and part.revision < record.row.revision:
        yield f"revision {part.revision} is older than the catalogue's {record.row.revision}"
    if entry and part.policy_number < entry.policy_number:
        yield f"policy {part.policy_number} is older than the present one, {entry.policy_number}"


def _told(
    record: ImageRecord,
    result: AuditResult,
    entry: VersionEntry | None,
    part: Part | None,
    depths: Depths | None,
) -> tuple[str, str]:
    """What is to be said beside the mark, and what can be typed about it."""
    if result.status is AuditStatus.DEAD:
        return result.reason, f"panopticon dead replay {shlex.quote(result.image_id)}"
    if result.status is AuditStatus.SKIPPED:
        return _why_skipped(record, result.version, entry), ""
    if result.status is AuditStatus.STORED:
        return _told_of_stored(record, result, entry, part)
    return _told_of_pending(record, result, entry, depths)


def _why_skipped(record: ImageRecord, version: VersionName, entry: VersionEntry | None) -> str:
    failure = _failure(version, record)
    if record.row and record.row.deleted:
        return "deleted"
    if failure and failure.state is FailureState.DISCARDED:
        return f"its failure ({failure.reason}) was discarded"
    return "retired" if entry else "the registry does not know this version"


def _told_of_stored(
    record: ImageRecord, result: AuditResult, entry: VersionEntry | None, part: Part | None
) -> tuple[str, str]:
    failure = _failure(result.version, record)
    if result.in_search is None:
        return f"not asked for in search: {_why_skipped(record, result.version, entry)}", ""
    if result.in_search:
        return ("in search" if part else "search has a newer revision than the catalogue"), ""
    if failure and failure.reason == INDEX_REFUSED and failure.state is FailureState.DEAD:
        return "refused by search", next_step(failure)
    missing = "search has an older state of it" if part else "not in search"
    return f"{missing}: the result is on its way, or lost", _audit(result.image_id)


def _told_of_pending(
    record: ImageRecord, result: AuditResult, entry: VersionEntry | None, depths: Depths | None
) -> tuple[str, str]:
    version = result.version
    if record.row is None:
        return "the catalogue does not know the image yet", _audit(result.image_id)
    if entry and entry.state is VersionState.REGISTERED:
        return "no upload reaches this version", f"panopticon models shadow {version}"
    if depths is None:
        return "waits in its queue or is at work", ""
    if not total(depths):
        return "its queue is empty: on its way, or lost", _audit(result.image_id)
    if not any(depth.leased or depth.retrying for depth in depths.values()):
        return "waits in its queue, from which nobody takes", f"panopticon worker --model {version}"
    return "waits in its queue or is at work", ""


def _failure(version: VersionName, record: ImageRecord) -> Failure | None:
    key = _key(version, record)
    return next((failure for failure in record.failures if failure.key == key), None)


def _audit(image_id: str) -> str:
    return f"echo {shlex.quote(image_id)} | panopticon audit --ids -"
