"""Cards that differ from another in a few fields."""

from __future__ import annotations

from typing import Any

from panopticon.cards.cards import ModelCard


def altered(card: ModelCard, **fields: Any) -> ModelCard:
    """Return the card with other fields, validated again. A mapping replaces only its own keys of a section.

    `model_copy` would not do: it copies the cached digest and labels too.
    """
    dumped = card.model_dump()
    for name, value in fields.items():
        inner = dumped[name]
        dumped[name] = {**inner, **value} if isinstance(value, dict) and isinstance(inner, dict) else value
    return ModelCard(**dumped)
