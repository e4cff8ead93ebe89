"""The handover checklist in the docs lists every check of `models check`, and every key of a card."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from PIL import Image
from pydantic import BaseModel

from panopticon.cards import cards
from panopticon.cards.cards import Golden, ModelCard
from panopticon.engines.null import NullEngine
from panopticon.handover.check_card import check_card
from tests.panopticon.altered import altered
from tests.panopticon.null_card import write_null_card

DOCUMENT = Path(__file__).parents[1] / "docs" / "model-handover.md"
READ_BEFORE = {"name", "version", "task", "folder"}


class OtherEngine(NullEngine):
    name = "other"


def spans(column: int) -> set[str]:
    """Return the texts between backticks in one column of the table."""
    rows = [line.split(" | ") for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| ")]
    return {span for row in rows[2:] for span in re.findall(r"`([^`]+)`", row[column])}


def keys(section: type[BaseModel], prefix: str = "") -> set[str]:
    """Return every key of the card, with the name of its section in front."""
    found = set()
    for name, field in section.model_fields.items():
        inner = re.search(r"panopticon\.cards\.cards\.(\w+)", str(field.annotation))
        nested = getattr(cards, inner[1]) if inner else None
        found |= keys(nested, f"{name}.") if nested and name != "scaling" else {prefix + name}
    return found


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    """A card with two engines and one golden image."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    sha256 = hashlib.sha256((tmp_path / "red.png").read_bytes()).hexdigest()
    golden = (Golden(image="red.png", sha256=sha256, expected={"red": 1}),)
    engines = {"allowed": ("null", f"{__name__}:OtherEngine")}
    return altered(write_null_card(tmp_path), golden=golden, engines=engines)


def test_the_checklist_has_the_lines_of_models_check(card: ModelCard) -> None:
    checks = [line.what for line in check_card(card, cache_dir=card.folder)]
    generic = {re.sub(f"^(null|other|{__name__}:OtherEngine): ", "ENGINE: ", check) for check in checks}
    generic = {check.replace("with null", "with REFERENCE").replace("red.png", "IMAGE") for check in generic}
    assert spans(2) == generic


def test_the_checklist_has_the_keys_of_the_card() -> None:
    assert spans(1) == keys(ModelCard) - READ_BEFORE
