"""One command without a server: real photos, real models, and a ledger that adds up."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from panopticon.engines import open_engine
from panopticon.images.decoding import decode
from panopticon.models import find_card, parse_version
from panopticon.results.outputs import OutputKey
from tests.end_to_end.command import Done, Installation
from workers.submission.folders import FoundFile

PHOTOS = (
    "skimage:data/coffee.png",
    "skimage:data/chelsea.png",
    "skimage:data/rocket.jpg",
    "sklearn:datasets/images/china.jpg",
    "sklearn:datasets/images/flower.jpg",
)


def in_package(name: str) -> Path:
    package, _, inside = name.partition(":")
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / inside


def image_id(path: Path) -> str:
    return FoundFile(path=os.path.realpath(os.fsencode(path)), size_bytes=0, mtime_ns=0).image_id


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Installation:
    return Installation(folder=tmp_path_factory.mktemp("sample"), cache_dir=cache_dir)


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return [in_package(name) for name in PHOTOS]


@pytest.fixture(scope="module")
def first(sample: Installation, photos: list[Path]) -> Done:
    return sample.panopticon("index", "--json", *map(str, photos))


@pytest.fixture(scope="module")
def tags(first: Done) -> Callable[[Path], dict[str, float]]:
    by_id = {photo["image_id"]: photo["tags"] for photo in first.json["photos"]}
    return lambda path: by_id[image_id(path)]


def test_index_stores_every_photo_and_closes_the_ledger(first: Done) -> None:
    assert first.exit_code == 0, first.err
    closed = {"accepted": 5, "stored": 5, "dead": 0, "skipped": 0, "pending": 0}
    assert first.json["ledger"] == {"tagger@1": closed, "quality@1": closed}


def test_coffee_is_espresso_and_chelsea_is_a_cat(
    tags: Callable[[Path], dict[str, float]], photos: list[Path]
) -> None:
    coffee, chelsea, *_ = photos
    assert tags(coffee) == {"espresso": pytest.approx(0.95, abs=0.03)}
    assert next(iter(tags(chelsea))) == "tiger cat"


def test_the_second_run_infers_nothing_and_counts_what_was_indexed(
    sample: Installation, photos: list[Path], first: Done
) -> None:
    again = sample.panopticon("index", *map(str, photos))
    assert again.exit_code == 0
    assert "Nothing to do: 5 photos already indexed" in again.out
    assert first.json["finished"] == 10


def test_searching_for_animal_finds_the_cat_and_nothing_else(
    sample: Installation, photos: list[Path], first: Done
) -> None:
    found = sample.panopticon("search", "animal", "--json")
    assert first.exit_code == found.exit_code == 0
    assert [hit["image_id"] for hit in found.json["images"]] == [image_id(photos[1])]


def test_status_counts_every_state(sample: Installation, first: Done) -> None:
    status = sample.panopticon("status", "--json")
    assert first.exit_code == status.exit_code == 0
    ledgers = {row["name"]: {key: row[key] for key in COUNTS} for row in status.json["models"]}
    expected = dict(zip(COUNTS, (5, 5, 0, 0, 0, 0), strict=True))
    assert ledgers == {"tagger@1": expected, "quality@1": expected}


COUNTS = ("accepted", "stored", "dead", "skipped", "pending", "lost")


@pytest.mark.parametrize("name", ["tagger@1", "quality@1"])
def test_each_stored_vector_is_the_output_of_the_bare_keras_model(
    sample: Installation, photos: list[Path], cache_dir: Path, first: Done, name: str
) -> None:
    assert first.exit_code == 0
    version = parse_version(name)
    card = find_card(version)
    keras = open_engine(card, engine="keras", cache_dir=cache_dir)
    keras.load()
    stored = sample.store().outputs.get([image_id(path) for path in photos], version)
    for path in photos:
        key = OutputKey(image_id=image_id(path), model=version.model, version=version.version, revision=0)
        pixels = decode(path.read_bytes(), input=card.input, preprocessing=card.preprocessing).pixels
        bare = keras.run(pixels[np.newaxis])[0]
        np.testing.assert_allclose(stored[key].vector, bare, atol=card.engines.tolerance, rtol=0)
        assert stored[key].digest == card.digest
