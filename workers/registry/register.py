"""How a model version becomes known: an entry in the registry, and queues that uploads reach."""

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
    """The version's entry, made if there is none; the first version of a model is active at once.

    Queues are bound before the version is known, so that no image falls between; and again for a known
    one, since the broker may be a new one. Its card is kept where the store has none.
    Raises: CardError if it is registered with another digest, or its policy does not hold; UsageError if it
    is retired; Unavailable.
    """
    author = Author(by=by, at_ms=int(time.time() * 1000))

    def register(model: ModelEntry | None) -> ModelEntry:
        known = model.version(card.version) if model else None
        entry = _known(card, known, archive) if known else _begun(card, model, archive, author)
        if entry.state.routed:
            topology.bind(card.version_name)
        return model if model and entry == known else _with_entry(model, card, entry, author)

    _, model = swap_with_retries(
        lambda: registry.read(card.name),
        registry.swap,
        register,
        record=f"the registry entry of {card.name}",
    )
    return transitions.known_version(model, card.version)


def new_entry(card: ModelCard, archive: Archive, author: Author) -> VersionEntry:
    """A version as its card says, registered and not fed; the card is kept first.

    Raises: CardError if its policy does not hold.
    """
    _refuse_bad_policy(card)
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
    """Raises: CardError unless the card makes the digest that is registered."""
    if known.digest != card.digest:
        raise CardError(
            f"{card.version_name} is registered with digest {known.digest}, but its card and files make "
            f"{card.digest}; give the changed model a new version number"
        )


def _refuse_bad_policy(card: ModelCard) -> None:
    """What is registered with it would stop every indexer."""
    try:
        check_policy(policy_of(card.policy), task=card.task, labels=card.labels)
    except PolicyError as error:
        raise CardError(f"{card.version_name}, {error}; mend its card") from None


def _refuse_retired(card: ModelCard, known: VersionEntry) -> None:
    if known.state is VersionState.RETIRED:
        raise UsageError(
            f"{card.version_name} is retired and takes no images; see panopticon models history {card.name}"
        )


def _known(card: ModelCard, known: VersionEntry, archive: Archive) -> VersionEntry:
    """As it is registered, with its card if none was kept."""
    refuse_other_digest(card, known)
    _refuse_retired(card, known)
    if archive.get(known.card_sha256) is not None:
        return known
    return replace(known, card_sha256=archive.put(card.archived_bytes))


def _begun(card: ModelCard, model: ModelEntry | None, archive: Archive, author: Author) -> VersionEntry:
    state = VersionState.ACTIVE if model is None else VersionState.SHADOW
    return replace(new_entry(card, archive, author), state=state)


def _with_entry(model: ModelEntry | None, card: ModelCard, entry: VersionEntry, author: Author) -> ModelEntry:
    if model is not None and model.version(card.version) is not None:
        return model.with_version(entry, author.did(f"kept the card of {card.version_name}"))
    return transitions.add(model or transitions.new_model(card.name, card.task), entry, author)
