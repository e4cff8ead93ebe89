"""The policies of registered versions: finding them, and giving a version the next one."""

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
class Applied:
    """Which policy a version has after it was given one."""

    number: int
    changed: bool
    """False if it had that policy already."""


def changeable_version(version: VersionName, store: Store) -> tuple[ModelEntry, VersionEntry]:
    """Raises: UsageError also for a retired version."""
    model, entry = read_version(version, store.registry)
    if entry.state is VersionState.RETIRED:
        raise UsageError(f"{version} is retired; a policy changes nothing of it any more")
    return model, entry


def checked_policy(text: str, *, source: str, version: VersionName, store: Store) -> Policy:
    """Raises: UsageError naming `source` and the line, or the version if it cannot have a policy."""
    model, entry = changeable_version(version, store)
    return _checked(text, source, model, entry, store)


def put_policy(text: str, *, source: str, version: VersionName, author: Author, store: Store) -> Applied:
    """Give the version this policy under the next number, unless the present one says the same.

    Raises: UsageError also if somebody else changed the model's record meanwhile; nothing was applied then.
    """
    model, entry = changeable_version(version, store)
    policy = _checked(text, source, model, entry, store)
    if says_the_same(entry, policy):
        return Applied(number=entry.policy_number, changed=False)
    changed = transitions.put_policy(model, version.version, text, author)
    swap_once(model, changed, store.registry)
    return Applied(number=entry.policy_number + 1, changed=True)


def says_the_same(entry: VersionEntry, policy: Policy) -> bool:
    """Whether it is the present one in other words; one that cannot be read is another."""
    try:
        return read_policy(entry.policy_toml) == policy
    except PolicyError:
        return False


def _checked(text: str, source: str, model: ModelEntry, entry: VersionEntry, store: Store) -> Policy:
    labels = label_rows(model, entry, store.archive)
    return read_checked(text, source=source, task=model.task, labels=labels)
