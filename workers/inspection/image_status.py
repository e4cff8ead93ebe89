"""The status of one image under each model version, why it has that status, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from panopticon.depths import Depths, at_work
from panopticon.messages import from_ms
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.documents import Part
from panopticon.results.failure_reasons import INDEX_REFUSED
from panopticon.results.ledger import State, state_of
from panopticon.results.outputs import Failure, FailureState, VersionName
from panopticon.results.undeliverable import NO_VERSION
from workers.inspection.audit import AuditResult, AuditStatus, audit_result
from workers.registry.image_record import ImageRecord
from workers.registry.records import Registered
from workers.runtime.terminal_text import shell_word


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStatus:
    """The status of one image under one version."""

    version: VersionName
    entry: VersionEntry | None
    """None if the registry does not know the version."""
    result: AuditResult
    answers: bool
    """True if queries are answered from this version."""
    part: Part | None
    """The version's part of the search document."""
    behind: tuple[str, ...]
    """The ways in which that part is older than catalogue or registry, for people."""
    why: str
    """Explains the result, such as `in search`, or `corrupt`."""
    next_step: str = ""
    """A command that a person can type about it; empty where none helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything known of one image that concerns one version."""

    record: ImageRecord
    version: VersionName
    entry: VersionEntry | None
    """None if the registry does not know the version."""
    part: Part | None
    """The version's part of the search document."""
    depths: Depths | None
    """The depths of the version's queues; None if they were not read."""
    has_worker: bool
    """True if a worker of the version runs."""


def statuses(
    record: ImageRecord,
    registered: Registered,
    depths: Mapping[VersionName, Depths],
    *,
    now_ms: int,
    running: Collection[str] = (),
) -> list[ImageStatus]:
    """Return the status under every version that gets uploads, and under any other with results of the image,
    ordered by name.

    An image that the catalogue does not know has a status only under versions with results of it.
    `depths`: the queues of pending versions, as far as they could be read. `now_ms`: the time of day.
    `running`: the versions that have a worker, such as `tagger@1`.
    """
    kept = {key.version_name for key in record.keys}
    parts = record.document.parts if record.document else {}
    kept |= {owner for part in parts if (owner := part_owner(part, registered))}
    routed = {name for name, (_, entry) in registered.items() if entry.state.routed and record.row}
    # Failures without a version are under a name that no version has.
    versions = sorted((kept | routed) - {NO_VERSION})
    return [
        _status(
            version,
            record,
            registered,
            depths=depths.get(version),
            now_ms=now_ms,
            has_worker=str(version) in running,
        )
        for version in versions
    ]


def pending_versions(record: ImageRecord, registered: Registered) -> list[VersionName]:
    """Return the versions under which the image is pending and that get uploads: their queues matter."""
    return [
        status.version
        for status in statuses(record, registered, {}, now_ms=0)
        if status.result.status is AuditStatus.PENDING and status.entry and status.entry.state.routed
    ]


def next_step(failure: Failure) -> str:
    """Return a command that a person can type about a failure; empty for a replayed or discarded one."""
    image_id = shell_word(failure.key.image_id)
    if failure.state is not FailureState.DEAD:
        return ""
    if failure.reason == INDEX_REFUSED:
        return f"{_audit_command(failure.key.image_id)} --fix"
    # Without a version there is no queue to which it could be replayed.
    if failure.key.version_name == NO_VERSION:
        return f"panopticon dead discard {image_id}"
    return f"panopticon dead replay {image_id}"


def part_owner(part: str, registered: Registered) -> VersionName | None:
    """Return the version that made a part of a document; None if no registered version has that part name."""
    return next((name for name in registered if name.part == part), None)


def explain(facts: Facts, result: AuditResult) -> tuple[str, str]:
    """Return why the image has its status, and a command that a person can type about it (or "")."""
    record, version, entry, depths = facts.record, facts.version, facts.entry, facts.depths
    failure = record.failure(version)
    match result.status:
        case AuditStatus.DEAD:
            return result.reason, f"panopticon dead replay {shell_word(record.image_id)}"
        case AuditStatus.SKIPPED:
            return _why_skipped(facts), ""
        case AuditStatus.STORED if result.in_search is None:
            return f"not needed in search: {_why_skipped(facts)}", ""
        case AuditStatus.STORED if result.in_search:
            return ("in search" if facts.part else "search has a newer revision than the catalogue"), ""
        case AuditStatus.STORED if failure and _is_refused_by_search(failure):
            return "refused by search", next_step(failure)
        case AuditStatus.STORED:
            missing = "search has an older state of it" if facts.part else "not in search"
            return f"{missing}: the result is on its way, or lost", _audit_command(record.image_id)
        case _ if record.row is None:
            return "the catalogue does not know the image yet", _audit_command(record.image_id)
        case _ if entry and entry.state is VersionState.REGISTERED:
            return "no upload reaches this version", f"panopticon models shadow {version}"
        case _ if result.next_try_at_ms:
            return f"{result.reason}, next try at {from_ms(result.next_try_at_ms):%Y-%m-%d %H:%M:%S} UTC", ""
        case _ if depths is not None and not at_work(depths):
            where = "its retry delay is over" if result.overdue else "its queue is empty"
            return f"{where}: on its way, or lost", _audit_command(record.image_id)
        # A worker of an older release has no heartbeat, but holds leases.
        case _ if (
            depths is not None
            and not facts.has_worker
            and not any(depth.leased or depth.retrying for depth in depths.values())
        ):
            return "waiting in its queue, and no worker takes from it", f"panopticon worker --model {version}"
        case _:
            return "waiting in its queue, or being processed", ""


def _status(
    version: VersionName,
    record: ImageRecord,
    registered: Registered,
    *,
    depths: Depths | None,
    now_ms: int,
    has_worker: bool,
) -> ImageStatus:
    model, entry = registered.get(version, (None, None))
    part = record.document.parts.get(version.part) if record.document else None
    result = (
        audit_result(record, version, entry, now_ms=now_ms)
        if entry
        else _unregistered_result(record, version)
    )
    facts = Facts(
        record=record, version=version, entry=entry, part=part, depths=depths, has_worker=has_worker
    )
    why, command = explain(facts, result)
    return ImageStatus(
        version=version,
        entry=entry,
        result=result,
        answers=model is not None and model.active == version,
        part=part,
        behind=tuple(_behind(facts, part)) if part else (),
        why=why,
        next_step=command,
    )


def _unregistered_result(record: ImageRecord, version: VersionName) -> AuditResult:
    """Return the result under a version that the registry does not know: no image is pending under it."""
    failure = record.failure(version)
    state = state_of(record.row, has_output=record.has_output(version), failure=failure, retired=True)
    return AuditResult(
        image_id=record.image_id,
        version=version,
        status=AuditStatus(state.value),
        reason=failure.reason if failure and state is State.DEAD else "",
    )


def _behind(facts: Facts, part: Part) -> Iterator[str]:
    row, entry = facts.record.row, facts.entry
    if row and part.revision < row.revision:
        yield f"revision {part.revision} is older than the catalogue's {row.revision}"
    if entry and part.policy_number < entry.policy_number:
        yield f"policy {part.policy_number} is older than the present one, {entry.policy_number}"


def _why_skipped(facts: Facts) -> str:
    failure = facts.record.failure(facts.version)
    if facts.record.row and facts.record.row.deleted:
        return "deleted"
    if failure and failure.state is FailureState.DISCARDED:
        return f"its failure ({failure.reason}) was discarded"
    return "retired" if facts.entry else "the registry does not know this version"


def _is_refused_by_search(failure: Failure) -> bool:
    return failure.reason == INDEX_REFUSED and failure.state is FailureState.DEAD


def _audit_command(image_id: str) -> str:
    return f"echo {shell_word(image_id)} | panopticon audit --ids -"
