"""The permitted changes of a model's registry entry, each a function from the old entry to the new one.

registered → shadow → active → shadow → retired. Every change appends an event to the history.
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
    """The person or process that changes something, the time, and the reason."""

    by: str
    at_ms: int
    reason: str = ""

    def did(self, what: str) -> RegistryEvent:
        """Return the event of this author doing `what`."""
        return RegistryEvent(at_ms=self.at_ms, by=self.by, what=what, reason=self.reason)


def new_model(model: str, task: str) -> ModelEntry:
    """Return an entry without versions, which is not stored yet."""
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
    """Return the entry of a version that is registered and not reached by uploads."""
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
    """Add a version. Raises: UsageError if its number is registered already."""
    if entry.version(version.version) is not None:
        raise UsageError(f"{entry.model}@{version.version} is registered already")
    return entry.with_version(version, author.did(f"registered {entry.model}@{version.version}"))


def shadow(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """Let uploads reach a version. Raises: UsageError unless its state is `registered`."""
    known = known_version(entry, number)
    if known.state is not VersionState.REGISTERED:
        raise UsageError(
            f"{entry.model}@{number} is {known.state}; only a registered version becomes a shadow"
        )
    return entry.with_version(
        replace(known, state=VersionState.SHADOW), author.did(f"shadow {entry.model}@{number}")
    )


def activate(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """Make a version the active one; the former active version becomes a shadow, which uploads still reach.

    Raises: UsageError unless the version is a shadow.
    """
    known = known_version(entry, number)
    if known.state is not VersionState.SHADOW:
        raise UsageError(f"{entry.model}@{number} is {known.state}; {_way_to_active(entry, known)}")
    return _switched(entry, known, author.did(f"activated {entry.model}@{number}{_was(entry)}"))


def roll_back(entry: ModelEntry, author: Author) -> ModelEntry:
    """Activate the formerly active version. Raises: UsageError if there is none, or it is not a shadow."""
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
    """Make the active version a shadow, so that none is active. Raises: UsageError if none is active."""
    if entry.active_version is None:
        raise UsageError(f"{entry.model}: no version is active")
    event = author.did(f"deactivated {entry.model}@{entry.active_version}")
    # As the former version, it is the one that a rollback activates again.
    return replace(_without_active(entry, event), active_version=None, former_version=entry.active_version)


def stop_routing(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """Make a shadow a registered version again, which uploads do not reach. Raises: UsageError for others."""
    known = known_version(entry, number)
    if known.state is not VersionState.SHADOW:
        raise UsageError(f"{entry.model}@{number} is {known.state}, and not a shadow")
    return entry.with_version(
        replace(known, state=VersionState.REGISTERED),
        author.did(f"stopped routing uploads to {entry.model}@{number}"),
    )


def retire(entry: ModelEntry, number: int, author: Author) -> ModelEntry:
    """Retire a version for good. Raises: UsageError if it is active, or retired already."""
    known = known_version(entry, number)
    if known.state is VersionState.ACTIVE:
        raise UsageError(
            f"{entry.model}@{number} is active; activate another version or deactivate it before retiring it"
        )
    if known.state is VersionState.RETIRED:
        raise UsageError(f"{entry.model}@{number} is retired already")
    return entry.with_version(replace(known, state=VersionState.RETIRED), author.did(_retired(entry, number)))


def put_policy(entry: ModelEntry, number: int, toml: str, author: Author) -> ModelEntry:
    """Give a version this policy, under the next number. Raises: UsageError if the version is retired."""
    known = known_version(entry, number)
    if known.state is VersionState.RETIRED:
        raise UsageError(f"{entry.model}@{number} is retired; its policy has no effect any more")
    record = PolicyRecord(
        number=known.policy_number + 1, toml=toml, at_ms=author.at_ms, by=author.by, reason=author.reason
    )
    changed = replace(
        known, policy_toml=toml, policy_number=record.number, policies=(*known.policies, record)
    )
    return entry.with_version(changed, author.did(f"policy {record.number} of {entry.model}@{number}"))


def keep_report(entry: ModelEntry, report: ReportRecord, author: Author) -> ModelEntry:
    """Store a report in place of the former one of the same pair of versions."""
    pair = (report.former, report.version)
    others = tuple(kept for kept in entry.reports if (kept.former, kept.version) != pair)
    event = author.did(f"compared {entry.model}@{report.former} with {entry.model}@{report.version}")
    return replace(entry, serial=entry.serial + 1, reports=(*others, report), history=(*entry.history, event))


def switches(entry: ModelEntry) -> list[RegistryEvent]:
    """Return the events that changed the active version, oldest first.

    Without one, the active version is the first of the model, which is active from its registration.
    """
    names = ("activated ", "rolled back to ", "deactivated ")
    return [event for event in entry.history if event.what.startswith(names)]


def retired_at_ms(entry: ModelEntry, number: int) -> int | None:
    """Return the time at which a version was retired; None if it is not retired."""
    what = _retired(entry, number)
    return next((event.at_ms for event in entry.history if event.what == what), None)


def known_version(entry: ModelEntry, number: int) -> VersionEntry:
    """Return the entry of a version. Raises: UsageError naming the registered versions."""
    known = entry.version(number)
    if known is None:
        there = ", ".join(f"{entry.model}@{version.version}" for version in entry.versions)
        raise UsageError(f"{entry.model}@{number} is not registered; registered: {there or 'none'}")
    return known


def name_of(entry: ModelEntry, version: VersionEntry) -> VersionName:
    """Return the full name of one version of a model."""
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


def _way_to_active(entry: ModelEntry, known: VersionEntry) -> str:
    match known.state:
        case VersionState.ACTIVE:
            changes = switches(entry)
            return "it answers already" + (f": {changes[-1].summary}" if changes else "")
        case VersionState.REGISTERED:
            return f"first let uploads reach it: panopticon models shadow {entry.model}@{known.version}"
        case _:
            return "give it a new version number"
