"""Two versions of a tagger and of a scorer, and outputs of them that no model has made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from panopticon.cards.cards import ModelCard, read_card
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.registry import transitions
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from storage.originals.files import uri_of
from tests.contracts.examples import NOON_MS, image, key, output, part, result
from tests.house import House
from workers.registry.register import ensure_registered

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Store, broker and search, with versions, images and outputs put into them."""

    store: Store
    broker: Broker
    search: SearchIndex
    folder: Path

    def register(self, name: VersionName, task: str, more: str = "") -> None:
        ensure_registered(
            card_of(name, task, self.folder / "cards", more),
            self.store.registry,
            self.broker.topology,
            archive=self.store.archive,
            by="test",
        )

    def register_all(self) -> None:
        for pets, light in ((PETS_1, LIGHT_1), (PETS_2, LIGHT_2)):
            self.register(pets, "tagging")
            self.register(light, "scoring")

    def photo(self, image_id: str, colour: tuple[int, int, int] = (200, 90, 20)) -> None:
        """Write a picture, and its row in the catalogue."""
        path = self.folder / f"{image_id}.png"
        Image.new("RGB", (64, 48), colour).save(path)
        row = replace(image(image_id), image_uri=uri_of(os.fsencode(path)))
        self.store.catalogue.put([row])

    def say(self, image_id: str, said: Mapping[VersionName, Sequence[float]], *, revision: int = 0) -> None:
        """Store an output of each version, and its part of the search document."""
        for version, vector in said.items():
            made = output(key(image_id, version=version, revision=revision))
            self.store.outputs.put([replace(made, vector=np.array(vector, dtype="<f4"))])
            self.search.apply([result(image_id, part(revision=revision, cat=0.5), name=version.part)])

    def put_policy(self, version: VersionName, toml: str) -> None:
        entry = self.store.registry.read(version.model)
        assert entry is not None
        changed = transitions.put_policy(entry, version.version, toml, Author(by="ann", at_ms=1))
        assert self.store.registry.swap(entry, changed)
