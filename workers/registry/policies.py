"""Checking a policy for a registered version, and giving the version a new one."""

from __future__ import annotations

from dataclasses import dataclass

from panopticon.errors import UsageError
from panopticon.interfaces import Store
from panopticon.policy.policy import Policy, PolicyError, read_policy
from panopticon.policy.policy_check import read_checked
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry, VersionEntry, VersionState
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from workers.registry.policy_cache import label_rows
from workers.registry.records import read_version, swap_once


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """The policy that a version has after it was given one."""

    number: int
    changed: bool
    """False if the version had that policy already."""


def changeable_version(version: VersionName, store: Store) -> tuple[ModelEntry, VersionEntry]:
    """Return a version's entry after its model's record.

    Raises: UsageError if it is unknown or retired; Unavailable.
    """
    model, entry = read_version(version, store.registry)
    if entry.state is VersionState.RETIRED:
        raise UsageError(f"{version} is retired; a policy changes nothing of it any more")
    return model, entry


def checked_policy(text: str, *, source: str, version: VersionName, store: Store) -> Policy:
    """Return the policy that a text holds, checked against the version's labels.

    Raises: UsageError naming `source` and the line, or the version if it cannot be given a policy;
    CardError if the store has no card of the version; Unavailable.
    """
    model, entry = changeable_version(version, store)
    return _checked(text, source, model, entry, store)


def put_policy(
    text: str, *, source: str, version: VersionName, author: Author, store: Store
) -> AppliedPolicy:
    """Give the version this policy under the next number, unless its present one has the same content.

    Raises: as `checked_policy`; UsageError also if somebody else changed the model's record meanwhile, and
    then nothing was applied.
    """
    model, entry = changeable_version(version, store)
    policy = _checked(text, source, model, entry, store)
    if is_present_policy(policy, entry):
        return AppliedPolicy(number=entry.policy_number, changed=False)
    changed = transitions.put_policy(model, version.version, text, author)
    swap_once(model, changed, store.registry)
    return AppliedPolicy(number=entry.policy_number + 1, changed=True)


def is_present_policy(policy: Policy, entry: VersionEntry) -> bool:
    """Return whether a policy has the content of the version's present one, however that is written.

    A present policy that this program cannot read differs from every other.
    """
    try:
        return read_policy(entry.policy_toml) == policy
    except PolicyError:
        return False


def _checked(text: str, source: str, model: ModelEntry, entry: VersionEntry, store: Store) -> Policy:
    labels = label_rows(model, entry, store.archive)
    return read_checked(text, source=source, task=model.task, labels=labels)
