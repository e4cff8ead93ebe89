"""How a model version becomes known: an entry in the registry, and queues that uploads reach."""

from __future__ import annotations

import time
from dataclasses import replace

import tomli_w

from panopticon import transitions
from panopticon.cards import CardError, ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Archive, Registry, Topology
from panopticon.registry import ModelEntry, VersionEntry, VersionState
from panopticon.transitions import Author

SWAP_TRIES = 20


def ensure_registered(
    card: ModelCard, registry: Registry, topology: Topology, *, archive: Archive, by: str
) -> VersionEntry:
    """The version's entry, made if there is none; the first version of a model is active at once.

    Queues are bound before the version is known, so that no image falls between; and again for a known
    one, since the broker may be a new one.
    Raises: CardError if it is registered with another digest; UsageError if it is retired; Unavailable.
    """
    for _ in range(SWAP_TRIES):
        model = registry.read(card.name)
        known = model.version(card.version) if model else None
        if model is not None and known is not None:
            refuse_other_digest(card, known)
            _refuse_retired(card, known)
            if known.state.fed:
                topology.bind(card.version_name)
            return known
        topology.bind(card.version_name)
        author = Author(by=by, at_ms=int(time.time() * 1000))
        entry = replace(
            new_entry(card, archive, author),
            state=VersionState.ACTIVE if model is None else VersionState.SHADOW,
        )
        if registry.swap(model, _with_entry(model, card, entry, author)):
            return entry
    raise Unavailable("store", f"the registry entry of {card.name} kept changing under us")


def new_entry(card: ModelCard, archive: Archive, author: Author) -> VersionEntry:
    """A version as its card says, registered and not fed; the card is kept first."""
    archive.put(card.deciding)
    return transitions.new_version(
        card.version,
        digest=card.digest,
        labels=(row.label for row in card.labels),
        policy_toml=tomli_w.dumps(card.policy),
        card_sha256=archive.put(card.whole),
        author=author,
    )


def refuse_other_digest(card: ModelCard, known: VersionEntry) -> None:
    """Raises: CardError unless the card makes the digest that is registered."""
    if known.digest != card.digest:
        raise CardError(
            f"{card.version_name} is registered with digest {known.digest}, but its card and files make "
            f"{card.digest}; give the changed model a new version number"
        )


def _refuse_retired(card: ModelCard, known: VersionEntry) -> None:
    if known.state is VersionState.RETIRED:
        raise UsageError(
            f"{card.version_name} is retired and takes no images; see panopticon models history {card.name}"
        )


def _with_entry(model: ModelEntry | None, card: ModelCard, entry: VersionEntry, author: Author) -> ModelEntry:
    return transitions.add(model or transitions.new_model(card.name, card.task), entry, author)
