"""The registry entry of a model: its versions, their policies, and the one version that answers queries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from panopticon.messages import from_ms
from panopticon.results.outputs import VersionName


class VersionState(StrEnum):
    """The states of a version: registered → shadow (uploads reach it) → active → shadow → retired."""

    REGISTERED = "registered"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"

    @property
    def routed(self) -> bool:
        """Return whether uploads reach a version in this state."""
        return self in (VersionState.SHADOW, VersionState.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord:
    """One policy in the history of a version."""

    number: int
    toml: str
    at_ms: int
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """One registered version."""

    version: int
    digest: str
    state: VersionState
    labels: tuple[str, ...]
    """Names of the vector's elements, in order, so that old outputs can always be explained."""
    policy_toml: str
    policy_number: int
    policies: tuple[PolicyRecord, ...] = ()
    """Every policy of the version so far, oldest first; the last is the present one."""
    card_sha256: str = ""
    """Key of the whole card in the archive, with the broader terms of its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecord:
    """The result of comparing two versions; it is valid for these digests and policies only."""

    at_ms: int
    by: str
    former: int
    """The version that the new one was compared with."""
    former_digest: str
    former_policy_number: int
    version: int
    digest: str
    policy_number: int
    ids_sha256: str
    """Digest of the sorted IDs that were selected, each ended by a line feed."""
    images: int
    figures: Mapping[str, float]
    """Name of a figure, as in `activation.Limits.bounds`, or `comparable` → its value.

    `comparable`: documents in search with a part of both versions. Older releases did not record it. It is
    not a field, since a worker of an older release must still be able to read the entry.
    """
    report_sha256: str
    """Key of the report in the archive, where it is kept without the results of single images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEvent:
    """One change of a model's entry: who changed what, when and why."""

    at_ms: int
    by: str
    what: str
    reason: str = ""

    @property
    def summary(self) -> str:
        """Return a line: `activated tagger@2 (was tagger@1), by ann@host at 2026-11-21 09:30:00 UTC`."""
        at = from_ms(self.at_ms)
        when = f" at {at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
        return f"{self.what}, by {self.by}{when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """The whole entry of one model, which is read as one value and replaced by compare-and-set."""

    model: str
    serial: int
    """Incremented at each swap; two entries of a model with the same serial are the same entry."""
    task: str
    active_version: int | None
    versions: tuple[VersionEntry, ...]
    history: tuple[RegistryEvent, ...] = ()
    former_version: int | None = None
    """The version that was active before; a rollback returns to it."""
    reports: tuple[ReportRecord, ...] = ()
    """The latest report of each pair of versions."""

    def version(self, number: int) -> VersionEntry | None:
        """Return the entry of one version; None if it is not registered."""
        return next((entry for entry in self.versions if entry.version == number), None)

    @property
    def active(self) -> VersionName | None:
        """Return the name of the active version; None if no version is active."""
        if self.active_version is None:
            return None
        return VersionName(model=self.model, version=self.active_version)

    def former_to(self, number: int) -> int | None:
        """Return the version to which a rollback would return if version `number` were activated now.

        That is the active version, or else the one that was active last; None if there is no other.
        """
        last = self.active_version if self.active_version is not None else self.former_version
        return last if last != number else None

    def with_version(self, entry: VersionEntry, event: RegistryEvent) -> ModelEntry:
        """Return the next entry to swap in: with this version added or replaced, and the event appended."""
        others = tuple(other for other in self.versions if other.version != entry.version)
        versions = tuple(sorted((*others, entry), key=lambda kept: kept.version))
        active = entry.version if entry.state is VersionState.ACTIVE else self.active_version
        history = (*self.history, event)
        return replace(
            self, serial=self.serial + 1, versions=versions, active_version=active, history=history
        )


def encode_entry(entry: ModelEntry) -> bytes:
    """Encode the whole entry as one UTF-8 JSON value."""
    return json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":")).encode()


def decode_entry(body: bytes) -> ModelEntry:
    """Decode what `encode_entry` returned, in this release or an older one."""
    fields = json.loads(body)
    versions = tuple(_decode_version(version) for version in fields.pop("versions"))
    history = tuple(RegistryEvent(**event) for event in fields.pop("history"))
    reports = tuple(ReportRecord(**report) for report in fields.pop("reports", ()))
    return ModelEntry(versions=versions, history=history, reports=reports, **fields)


def _decode_version(fields: dict[str, Any]) -> VersionEntry:
    # Entries written before there was a history of policies hold the present one only.
    present = {"number": fields["policy_number"], "toml": fields["policy_toml"], "at_ms": 0, "by": "unknown"}
    return VersionEntry(
        **{
            **fields,
            "state": VersionState(fields["state"]),
            "labels": tuple(fields["labels"]),
            "policies": tuple(PolicyRecord(**policy) for policy in fields.get("policies", (present,))),
        }
    )
