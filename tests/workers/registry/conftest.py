"""Cards of several versions of one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard
from tests.panopticon.null_card import write_null_card

CardOf = Callable[..., ModelCard]


@pytest.fixture
def card_of(tmp_path: Path) -> CardOf:
    """Return the card of a version of `colour`, by its number and with more TOML appended."""

    def card_of(version: int = 1, more: str = "") -> ModelCard:
        return write_null_card(tmp_path / str(version), more, version=version)

    return card_of
