"""How a model version becomes known: an entry in the registry, and queues that uploads reach."""

from __future__ import annotations

import time

import tomli_w

from panopticon.cards import CardError, ModelCard
from panopticon.errors import Unavailable
from panopticon.interfaces import Registry, Topology
from panopticon.registry import ModelEntry, RegistryEvent, VersionEntry, VersionState

SWAP_TRIES = 20
FIRST_POLICY_NUMBER = 1

FED = frozenset({VersionState.SHADOW, VersionState.ACTIVE})
"""States in which uploads reach a version."""


def ensure_registered(card: ModelCard, registry: Registry, topology: Topology, *, by: str) -> VersionEntry:
    """The version's entry, made if there is none; the first version of a model is active at once.

    Queues are bound before the version is known, so that no image falls between; and again for a known
    one, since the broker may be a new one.
    Raises: CardError if it is registered with another digest, Unavailable.
    """
    for _ in range(SWAP_TRIES):
        model = registry.read(card.name)
        known = model.version(card.version) if model else None
        if known is not None:
            _check_digest(card, known)
            if known.state in FED:
                topology.bind(card.version_name)
            return known
        topology.bind(card.version_name)
        entry = _first_entry(card, active=model is None)
        if registry.swap(model, _with_entry(model, card, entry, by=by)):
            return entry
    raise Unavailable("store", f"the registry entry of {card.name} kept changing under us")


def _check_digest(card: ModelCard, known: VersionEntry) -> None:
    if known.digest != card.digest:
        raise CardError(
            f"{card.version_name} is registered with digest {known.digest}, but its card and files make "
            f"{card.digest}; give the changed model a new version number"
        )


def _first_entry(card: ModelCard, *, active: bool) -> VersionEntry:
    return VersionEntry(
        version=card.version,
        digest=card.digest,
        state=VersionState.ACTIVE if active else VersionState.SHADOW,
        labels=tuple(row.label for row in card.labels),
        policy_toml=tomli_w.dumps(card.policy),
        policy_number=FIRST_POLICY_NUMBER,
    )


def _with_entry(model: ModelEntry | None, card: ModelCard, entry: VersionEntry, *, by: str) -> ModelEntry:
    event = RegistryEvent(at_ms=int(time.time() * 1000), by=by, what=f"registered {card.version_name}")
    empty = ModelEntry(model=card.name, serial=0, task=card.task, active_version=None, versions=())
    return (model or empty).with_version(entry, event)
