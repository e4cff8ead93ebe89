"""How one model's record may change: each rule once, as a function from record to record.

registered → shadow → active → shadow → retired. Every change is an event of the history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from panopticon.errors import UsageError
from panopticon.registry.records import (
    ModelEntry,
    PolicyRecord,
    RegistryEvent,
    ReportRecord,
    VersionEntry,
    VersionState,
)
from panopticon.results.outputs import VersionName

FIRST_POLICY_NUMBER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes something, when and why."""

    by: str
    at_ms: int
    reason: str = ""

    def did(self, what: str) -> RegistryEvent:
        return RegistryEvent(at_ms=self.at_ms, by=self.by, what=what, reason=self.reason)


def new_model(model: str, task: str) -> ModelEntry:
    """A record without versions, not stored yet."""
    return ModelEntry(model=model, serial=0, task=task, active_version=None, versions=())


def new_version(
    version: int,
    *,
    digest: str,
    labels: Iterable[str],
    policy_toml: str,
    card_sha256: str,
    author: Author,
) -> VersionEntry:
    """A version that is registered and not fed."""
    policy = PolicyRecord(
        number=FIRST_POLICY_NUMBER, toml=policy_toml, at_ms=author.at_ms, by=author.by, reason="registered"
    )
    return VersionEntry(
        version=version,
        digest=digest,
        state=VersionState.REGISTERED,
        labels=tuple(labels),
        policy_toml=policy_toml,
        policy_number=FIRST_POLICY_NUMBER,
        policies=(policy,),
        card_sha256=card_sha256,
    )


def add(entry: ModelEntry, version: VersionEntry, author: Author) -> ModelEntry:
    """Raises: UsageError if the number is taken."""
    if entry.version(version.version) is not None:
        raise UsageError(f"{entry.model}@{version.version} is registered already")
    return entry.with_version(version, author.did(f"registered {entry.model}@{version.version}"))


def shadow(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """From now on it is fed. Raises: UsageError unless it is registered and nothing more."""
    known = known_version(entry, number)
    if known.state is not VersionState.REGISTERED:
        raise UsageError(
            f"{entry.model}@{number} is {known.state}; only a registered version becomes a shadow"
        )
    return entry.with_version(
        replace(known, state=VersionState.SHADOW), author.did(f"shadow {entry.model}@{number}")
    )


def activate(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """It answers from now on; the former active version stays a shadow, fed.

    Raises: UsageError unless it is a shadow.
    """
    known = known_version(entry, number)
    if known.state is not VersionState.SHADOW:
        raise UsageError(f"{entry.model}@{number} is {known.state}; {_way_to_active(entry, known)}")
    return _switched(entry, known, author.did(f"activated {entry.model}@{number}{_was(entry)}"))


def roll_back(entry: ModelEntry, author: Author) -> ModelEntry:
    """The version that was active before is active again. Raises: UsageError if there is none, or not fed."""
    if entry.former_version is None:
        raise UsageError(f"{entry.model}: no version was active before; there is nothing to return to")
    known = known_version(entry, entry.former_version)
    if known.state is not VersionState.SHADOW:
        raise UsageError(
            f"{entry.model}@{known.version} was active before, but is {known.state} now; activate another"
        )
    event = author.did(f"rolled back to {entry.model}@{known.version}{_was(entry)}")
    return _switched(entry, known, event)


def deactivate(entry: ModelEntry, author: Author) -> ModelEntry:
    """No version answers; the active one stays a shadow, fed. Raises: UsageError if none is active."""
    if entry.active_version is None:
        raise UsageError(f"{entry.model}: no version is active")
    event = author.did(f"deactivated {entry.model}@{entry.active_version}")
    return replace(_without_active(entry, event), active_version=None, former_version=entry.active_version)


def stop_routing(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """A shadow is only registered again. Raises: UsageError unless it is a shadow."""
    known = known_version(entry, number)
    if known.state is not VersionState.SHADOW:
        raise UsageError(f"{entry.model}@{number} is {known.state}, and not a shadow")
    return entry.with_version(
        replace(known, state=VersionState.REGISTERED), author.did(f"stopped feeding {entry.model}@{number}")
    )


def retire(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """It takes no images any more, for good. Raises: UsageError while it is active, or once it is retired."""
    known = known_version(entry, number)
    if known.state is VersionState.ACTIVE:
        raise UsageError(
            f"{entry.model}@{number} is active; activate another version or deactivate it before retiring it"
        )
    if known.state is VersionState.RETIRED:
        raise UsageError(f"{entry.model}@{number} is retired already")
    return entry.with_version(replace(known, state=VersionState.RETIRED), author.did(_retired(entry, number)))


def put_policy(entry: ModelEntry, number: int, toml: str, author: Author) -> ModelEntry:
    """This text is the version's policy from now on, under the next number.

    Raises: UsageError once it is retired.
    """
    known = known_version(entry, number)
    if known.state is VersionState.RETIRED:
        raise UsageError(f"{entry.model}@{number} is retired; its policy changes nothing any more")
    record = PolicyRecord(
        number=known.policy_number + 1, toml=toml, at_ms=author.at_ms, by=author.by, reason=author.reason
    )
    changed = replace(
        known, policy_toml=toml, policy_number=record.number, policies=(*known.policies, record)
    )
    return entry.with_version(changed, author.did(f"policy {record.number} of {entry.model}@{number}"))


def keep_report(entry: ModelEntry, report: ReportRecord, author: Author) -> ModelEntry:
    """The latest report of its pair of versions."""
    pair = (report.former, report.version)
    others = tuple(kept for kept in entry.reports if (kept.former, kept.version) != pair)
    event = author.did(f"compared {entry.model}@{report.former} with {entry.model}@{report.version}")
    return replace(entry, serial=entry.serial + 1, reports=(*others, report), history=(*entry.history, event))


def retired_at_ms(entry: ModelEntry, number: int) -> int | None:
    """When it was retired; None if it is not."""
    what = _retired(entry, number)
    return next((event.at_ms for event in entry.history if event.what == what), None)


def known_version(entry: ModelEntry, number: int) -> VersionEntry:
    """Raises: UsageError naming the versions that there are."""
    known = entry.version(number)
    if known is None:
        there = ", ".join(f"{entry.model}@{version.version}" for version in entry.versions)
        raise UsageError(f"{entry.model}@{number} is not registered; registered: {there or 'none'}")
    return known


def name_of(entry: ModelEntry, version: VersionEntry) -> VersionName:
    return VersionName(model=entry.model, version=version.version)


def _retired(entry: ModelEntry, number: int) -> str:
    return f"retired {entry.model}@{number}"


def _switched(entry: ModelEntry, chosen: VersionEntry, event: RegistryEvent) -> ModelEntry:
    former = entry.former_to(chosen.version)
    before = _without_active(entry, event)
    versions = tuple(
        replace(kept, state=VersionState.ACTIVE) if kept.version == chosen.version else kept
        for kept in before.versions
    )
    return replace(before, versions=versions, active_version=chosen.version, former_version=former)


def _without_active(entry: ModelEntry, event: RegistryEvent) -> ModelEntry:
    versions = tuple(
        replace(kept, state=VersionState.SHADOW) if kept.state is VersionState.ACTIVE else kept
        for kept in entry.versions
    )
    return replace(entry, serial=entry.serial + 1, versions=versions, history=(*entry.history, event))


def _was(entry: ModelEntry) -> str:
    return f" (was {entry.model}@{entry.active_version})" if entry.active_version is not None else ""


def _since(entry: ModelEntry) -> str:
    """Who made the last change of what answers; nothing if the version was active from the beginning."""
    changes = [event for event in entry.history if event.what.startswith(("activated", "rolled back"))]
    return f": {changes[-1].told}" if changes else ""


def _way_to_active(entry: ModelEntry, known: VersionEntry) -> str:
    if known.state is VersionState.ACTIVE:
        return f"it answers already{_since(entry)}"
    if known.state is VersionState.REGISTERED:
        return f"feed it first: panopticon models shadow {entry.model}@{known.version}"
    return "give it a new version number"
