"""What is known of a model: its versions, their policies, and the one version that answers queries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from panopticon.messages import from_ms
from panopticon.results.outputs import VersionName


class VersionState(StrEnum):
    """registered → shadow (queues bound, fed) → active → shadow → retired."""

    REGISTERED = "registered"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"

    @property
    def routed(self) -> bool:
        """Whether uploads reach a version in this state."""
        return self in (VersionState.SHADOW, VersionState.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord:
    """One policy that a version has had."""

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
    """Every policy it has had, oldest first; the last is the present one."""
    card_sha256: str = ""
    """Under which the archive keeps the whole card, with the broader terms of its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecord:
    """What a comparison of two versions came to; it holds for these digests and policies only."""

    at_ms: int
    by: str
    former: int
    """The version compared with; it was the active one, or was to be."""
    former_digest: str
    former_policy_number: int
    version: int
    digest: str
    policy_number: int
    ids_sha256: str
    """Of the IDs that were compared, sorted, each ended by a line feed."""
    images: int
    figures: Mapping[str, float]
    """Name of a figure, as in `activation.Limits` without `min_` or `max_` → its value."""
    report_sha256: str
    """Under which the archive keeps the report, without what was said of any image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEvent:
    """Who changed what, when and why."""

    at_ms: int
    by: str
    what: str
    reason: str = ""

    @property
    def told(self) -> str:
        """Such as `activated tagger@2 (was tagger@1), by ann@host at 2026-11-21 09:30:00 UTC`."""
        at = from_ms(self.at_ms)
        when = f" at {at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
        return f"{self.what}, by {self.by}{when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model's whole record: read whole, and replaced whole by compare-and-set."""

    model: str
    serial: int
    """+1 at each swap; two entries with one serial are one entry."""
    task: str
    active_version: int | None
    versions: tuple[VersionEntry, ...]
    history: tuple[RegistryEvent, ...] = ()
    former_version: int | None = None
    """The one that was active before; a rollback returns to it."""
    reports: tuple[ReportRecord, ...] = ()
    """The latest of each pair of versions."""

    def version(self, number: int) -> VersionEntry | None:
        return next((entry for entry in self.versions if entry.version == number), None)

    @property
    def active(self) -> VersionName | None:
        if self.active_version is None:
            return None
        return VersionName(model=self.model, version=self.active_version)

    def former_to(self, number: int) -> int | None:
        """The version to which a rollback would return if this one answered: the active one, or the last that
        was; None if there was no other."""
        last = self.active_version if self.active_version is not None else self.former_version
        return last if last != number else None

    def with_version(self, entry: VersionEntry, event: RegistryEvent) -> ModelEntry:
        """The record with this version added or replaced, ready to be swapped in."""
        others = tuple(other for other in self.versions if other.version != entry.version)
        versions = tuple(sorted((*others, entry), key=lambda kept: kept.version))
        active = entry.version if entry.state is VersionState.ACTIVE else self.active_version
        history = (*self.history, event)
        return replace(
            self, serial=self.serial + 1, versions=versions, active_version=active, history=history
        )


def encode_entry(entry: ModelEntry) -> bytes:
    """The whole record as one UTF-8 JSON value."""
    return json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":")).encode()


def decode_entry(body: bytes) -> ModelEntry:
    """The inverse of `encode_entry`."""
    fields = json.loads(body)
    versions = tuple(_version_of(version) for version in fields.pop("versions"))
    history = tuple(RegistryEvent(**event) for event in fields.pop("history"))
    reports = tuple(ReportRecord(**report) for report in fields.pop("reports", ()))
    return ModelEntry(versions=versions, history=history, reports=reports, **fields)


def _version_of(fields: dict[str, Any]) -> VersionEntry:
    return VersionEntry(
        **{
            **fields,
            "state": VersionState(fields["state"]),
            "labels": tuple(fields["labels"]),
            "policies": _policies_of(fields),
        }
    )


def _policies_of(fields: Mapping[str, Any]) -> tuple[PolicyRecord, ...]:
    """Of a record that an older program wrote, only the present one is known."""
    present = {"number": fields["policy_number"], "toml": fields["policy_toml"], "at_ms": 0, "by": "unknown"}
    return tuple(PolicyRecord(**policy) for policy in fields.get("policies", (present,)))
