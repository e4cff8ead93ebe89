"""The policies that make tags and scores of vectors, with a store or without any."""

from __future__ import annotations

from panopticon.cards.cards import ModelCard
from panopticon.interfaces import Store
from workers.registry.answers import own_policy
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy


def policy_for(card: ModelCard, store: Store | None) -> ResolvedPolicy:
    """Return the present policy of the version if the store knows it with this digest, else the card's own.

    Raises: CardError, UsageError for a policy that is not valid; Unavailable if the store does not answer.
    """
    model = store.registry.read(card.name) if store else None
    entry = model.version(card.version) if model else None
    # Under another digest each element may have another meaning, so that policy is of another model.
    if store is None or model is None or entry is None or entry.digest != card.digest:
        return own_policy(card)
    return resolve_policy(model, entry, store.archive)
