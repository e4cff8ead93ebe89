"""Registering a model version: an entry in the registry, and queues that uploads reach."""

from __future__ import annotations

import time
from dataclasses import replace

import tomli_w

from panopticon.cards.cards import CardError, ModelCard
from panopticon.errors import UsageError
from panopticon.interfaces import Archive, Registry, Topology
from panopticon.policy.policy import PolicyError, policy_of
from panopticon.policy.policy_check import check_policy
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry, VersionEntry, VersionState
from panopticon.registry.transitions import Author
from workers.registry.compare_and_set import swap_with_retries


def ensure_registered(
    card: ModelCard, registry: Registry, topology: Topology, *, archive: Archive, by: str
) -> VersionEntry:
    """Return the version's entry, made if there is none; the first version of a model is active at once.

    A version's queues are bound before it is registered, so that no image falls between the two; and again
    for a registered one, since the broker may be a new one. The card is archived where the store has none.
    Raises: CardError if the version is registered with another digest or its policy is not valid; UsageError
    if it is retired; Unavailable.
    """
    author = Author(by=by, at_ms=int(time.time() * 1000))

    def register(model: ModelEntry | None) -> ModelEntry:
        known = model.version(card.version) if model else None
        if model is None or known is None:
            entry = replace(
                new_entry(card, archive, author),
                state=VersionState.SHADOW if model else VersionState.ACTIVE,
            )
            changed = transitions.add(model or transitions.new_model(card.name, card.task), entry, author)
        else:
            entry = _with_card(known, card, archive)
            archived = author.did(f"kept the card of {card.version_name}")
            changed = model if entry == known else model.with_version(entry, archived)
        if entry.state.routed:
            topology.bind(card.version_name)
        return changed

    _, model = swap_with_retries(
        lambda: registry.read(card.name),
        registry.swap,
        register,
        record=f"the registry entry of {card.name}",
    )
    return transitions.known_version(model, card.version)


def new_entry(card: ModelCard, archive: Archive, author: Author) -> VersionEntry:
    """Return the entry of a version that is registered and gets no uploads yet; archive its card first.

    Raises: CardError if its policy is not valid, for that policy would stop every indexer; Unavailable.
    """
    try:
        check_policy(policy_of(card.policy), task=card.task, labels=card.labels)
    except PolicyError as error:
        raise CardError(f"{card.version_name}, {error}; correct its card") from None
    archive.put(card.digest_input)
    return transitions.new_version(
        card.version,
        digest=card.digest,
        labels=(row.label for row in card.labels),
        policy_toml=tomli_w.dumps(card.policy),
        card_sha256=archive.put(card.archived_bytes),
        author=author,
    )


def refuse_other_digest(card: ModelCard, known: VersionEntry) -> None:
    """Raise CardError unless the card makes the digest that is registered."""
    if known.digest != card.digest:
        raise CardError(
            f"{card.version_name} is registered with digest {known.digest}, but its card and files make "
            f"{card.digest}; give the changed model a new version number"
        )


def _with_card(known: VersionEntry, card: ModelCard, archive: Archive) -> VersionEntry:
    """Return the registered entry, with the card archived if an older program registered it without one."""
    refuse_other_digest(card, known)
    if known.state is VersionState.RETIRED:
        raise UsageError(
            f"{card.version_name} is retired and takes no images; see panopticon models history {card.name}"
        )
    if archive.get(known.card_sha256) is not None:
        return known
    return replace(known, card_sha256=archive.put(card.archived_bytes))
