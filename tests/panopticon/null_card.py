"""A card for the null engine, for tests that need a model but not a trained one."""

from __future__ import annotations

from pathlib import Path

from panopticon.cards.cards import ModelCard, read_card

NULL_CARD = """
name = "colour"
version = 1
task = "scoring"
summary = "Mean colour"
changes = "The first version."
unsuitable = "It sees no shapes."
needs = { memory_mb = 50, hardware = "any", images_per_s = 1000 }
input = { width_px = 8, height_px = 8 }
output = { dtype = "float32", names = ["red", "green", "blue"] }
engines = { allowed = ["null"], tolerance = 0.001 }
"""


def write_null_card(folder: Path, more: str = "", *, version: int = 1) -> ModelCard:
    """Write the card with `more` TOML appended, and read it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "card.toml"
    path.write_text(NULL_CARD.replace("version = 1", f"version = {version}") + more, "utf-8")
    return read_card(path)
