"""Inference engines by name. Each runs one model version behind the Protocol `interfaces.Engine`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.interfaces import Engine
from panopticon.plugins import load_plugin

ENGINES = {
    "keras": "panopticon.engines.keras:KerasEngine",
    "litert": "panopticon.engines.litert:LiteRTEngine",
    "null": "panopticon.engines.null:NullEngine",
}


def open_engine(card: ModelCard, *, engine: str = "", cache_dir: Path) -> Engine:
    """Make the engine of that name, not yet loaded; "" stands for the first that the card allows.

    A name is one of `ENGINES`, or `module:Class` for a custom engine; the class takes `(card, *, cache_dir)`.
    Raises: UsageError for a name that the card does not allow, or that cannot be imported.
    """
    name = engine_name(card, engine)
    try:
        make = cast(Callable[..., Engine], load_plugin(ENGINES.get(name, name)))
    except ImportError as error:
        known = ", ".join(ENGINES)
        raise UsageError(f"engine {name!r}: {error}; known: {known}, or module:Class") from None
    return make(card, cache_dir=cache_dir)


def engine_name(card: ModelCard, asked: str = "") -> str:
    """Return `asked`, or the first engine that the card allows. Raises: UsageError if it is not allowed."""
    name = asked or next(iter(card.engines.allowed), "")
    if name not in card.engines.allowed:
        allowed = ", ".join(card.engines.allowed) or "none"
        raise UsageError(f"{card.version_name} does not run on engine {name!r}; its card allows: {allowed}")
    return name
