"""Cards that a test writes for itself."""

from __future__ import annotations

from pathlib import Path

OWN = "tests.workers.serving.faults.engines"
CARD = """
name = "{name}"
version = {version}
task = "scoring"
summary = "For tests: the mean colour"
changes = "The first version."
needs = {{ {needs} }}
input = {{ width_px = 16, height_px = 16 }}
output = {{ names = ["red", "green", "blue"] }}
engines = {{ allowed = ["{engine}"] }}
"""
NEEDS = 'memory_mb = 50, hardware = "any", images_per_s = 1000'


def write_card(
    folder: Path, name: str, *, engine: str = "null", version: int = 1, needs: str = "", more: str = ""
) -> None:
    """Write the card of a model into a folder of models. `engine`: `null`, or a class of this folder.

    `needs`: entries of its needs in TOML, beyond those that every card has; `more`: further tables.
    """
    path = folder / f"{name}{version}" / "card.toml"
    path.parent.mkdir(parents=True)
    chosen = engine if engine == "null" else f"{OWN}:{engine}"
    entries = f"{NEEDS}, {needs}" if needs else NEEDS
    path.write_text(CARD.format(name=name, version=version, needs=entries, engine=chosen) + more, "utf-8")
