"""Two versions of a tagger and of a scorer, and outputs of them that no model has made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from PIL import Image

from panopticon.cards.cards import ModelCard, read_card
from panopticon.results.outputs import VersionName
from storage.originals.files import uri_of
from tests.contracts.examples import NOON_MS, image
from tests.house import House

PETS_1, PETS_2 = VersionName(model="pets", version=1), VersionName(model="pets", version=2)
LIGHT_1, LIGHT_2 = VersionName(model="light", version=1), VersionName(model="light", version=2)

CARD = """
name = "{name}"
version = {version}
task = "{task}"
summary = "For tests"
changes = "None."
input = {{ width_px = 8, height_px = {version} }}
output = {output}
engines = {{ allowed = ["null"] }}
"""
OUTPUTS = {
    "tagging": '{ labels = "labels.csv" }',
    "scoring": '{ names = ["noise", "light"] }',
}


def register_two_versions(house: House, folder: Path) -> None:
    """Register both versions of the tagger and of the scorer, with cards in `folder`."""
    for pets, light in ((PETS_1, LIGHT_1), (PETS_2, LIGHT_2)):
        house.register(card_of(pets, "tagging", folder), card_of(light, "scoring", folder))


def card_of(version: VersionName, task: str, folder: Path, more: str = "") -> ModelCard:
    """Write the card of a version into `folder`, with `more` TOML appended, and read it."""
    own = folder / str(version)
    own.mkdir(parents=True)
    (own / "labels.csv").write_text("label,synset,ancestors\ncat,,animal\ndog,,animal\nfox,,\n")
    text = CARD.format(name=version.model, version=version.version, task=task, output=OUTPUTS[task])
    (own / "card.toml").write_text(text + more)
    return read_card(own / "card.toml")


def photo(house: House, path: Path, colour: tuple[int, int, int] = (200, 90, 20)) -> None:
    """Write a picture, and the row of its image in the catalogue: its ID is the file's name without suffix.

    The row is newer than one that a house plants.
    """
    Image.new("RGB", (64, 48), colour).save(path)
    uri = uri_of(os.fsencode(path))
    row = replace(image(path.stem), image_uri=uri, occurred_at_ms=NOON_MS + 1)
    house.real.store.catalogue.put([row])
