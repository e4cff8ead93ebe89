"""Finding model cards by name, among those that ship and those of a person's own folder."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from panopticon.cards.cards import SHIPPED, CardError, ModelCard, read_card
from panopticon.errors import UsageError
from panopticon.results.outputs import VersionName

_VERSION = re.compile(r"([a-z][a-z0-9]{0,31})@([1-9][0-9]{0,8})")


def parse_version(text: str) -> VersionName:
    """Parse a text such as `tagger@1`. Raises: UsageError for anything else."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"no model version: {text!r}; write the model's name, @ and a version, as in tagger@1"
        )
    return VersionName(model=match[1], version=int(match[2]))


def all_cards(extra_dir: Path | None = None) -> list[ModelCard]:
    """Read every card, ordered by name and version.

    `extra_dir` has the layout of the shipped folder: `<model>/card.toml` or `<model>/<any>/card.toml`.
    Raises: CardError for a card that cannot be read, a missing folder, or two cards of one version.
    """
    if extra_dir is not None and not extra_dir.is_dir():
        raise CardError(f"no folder with model cards at {extra_dir}")
    folders = [SHIPPED, extra_dir] if extra_dir else [SHIPPED]
    paths = [
        path
        for folder in folders
        for pattern in ("*/card.toml", "*/*/card.toml")
        for path in sorted(folder.glob(pattern))
    ]
    cards = sorted(map(read_card, paths), key=lambda card: card.version_name)
    # Sorted, so two cards of one version follow each other.
    for card, after in pairwise(cards):
        if card.version_name == after.version_name:
            raise CardError(f"two cards for {card.version_name}: in {card.folder} and in {after.folder}")
    return cards


def find_card(name: VersionName, extra_dir: Path | None = None) -> ModelCard:
    """Return the card of one version. Raises: CardError listing the known versions."""
    cards = all_cards(extra_dir)
    found = next((card for card in cards if card.version_name == name), None)
    if found is None:
        known = ", ".join(str(card.version_name) for card in cards)
        raise CardError(f"unknown model version {name}; known: {known}")
    return found
