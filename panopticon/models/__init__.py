"""The model cards that ship, and those of one's own: finding them by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from panopticon.cards.cards import SHIPPED, CardError, ModelCard, read_card
from panopticon.errors import UsageError
from panopticon.results.outputs import VersionName

_VERSION = re.compile(r"([a-z][a-z0-9]{0,31})@([1-9][0-9]{0,8})")


def parse_version(text: str) -> VersionName:
    """`tagger@1` → its name. Raises: UsageError for anything else."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"no model version: {text!r}; write the model's name, @ and a version, as in tagger@1"
        )
    return VersionName(model=match[1], version=int(match[2]))


def all_cards(extra_dir: Path | None = None) -> list[ModelCard]:
    """Every card, ordered by name and version.

    `extra_dir` is laid out as the shipped folder is: `<model>/card.toml` or `<model>/<any>/card.toml`.
    Raises: CardError for a card that cannot be read, a folder that is not there, or a version found twice.
    """
    cards = sorted(_cards(extra_dir), key=lambda card: card.version_name)
    for card, after in pairwise(cards):
        if card.version_name == after.version_name:
            raise CardError(f"two cards for {card.version_name}: in {card.folder} and in {after.folder}")
    return cards


def find_card(name: VersionName, extra_dir: Path | None = None) -> ModelCard:
    """The card of one version. Raises: CardError listing what is known."""
    cards = all_cards(extra_dir)
    found = next((card for card in cards if card.version_name == name), None)
    if found is None:
        known = ", ".join(str(card.version_name) for card in cards)
        raise CardError(f"unknown model version {name}; known: {known}")
    return found


def _cards(extra_dir: Path | None) -> Iterator[ModelCard]:
    yield from _cards_under(SHIPPED)
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise CardError(f"no folder with model cards at {extra_dir}")
        yield from _cards_under(extra_dir)


def _cards_under(folder: Path) -> Iterator[ModelCard]:
    for pattern in ("*/card.toml", "*/*/card.toml"):
        yield from map(read_card, sorted(folder.glob(pattern)))
