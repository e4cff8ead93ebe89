"""A person's own model cards at the command line: a saved model, and preprocessing by a plug-in."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.distributions import install_preprocessing
from tests.end_to_end.command import Done, Installation

CARD = """
name = "mine"
version = 1
task = "scoring"
summary = "The mean colour"
changes = "The first version."
unsuitable = "It sees no shapes."
input = {{ width_px = 8, height_px = 8 }}
output = {{ names = ["red", "green", "blue"] }}
needs = {{ memory_mb = 50, hardware = "any", images_per_s = 1000 }}
{more}
[[golden]]
image = "{golden}"
sha256 = "{golden_sha256}"
expected = {{ red = {red} }}
"""

SAVED = """
[weights]
file = "model.keras"
sha256 = "{sha256}"
licence = "Apache-2.0"

[engines]
allowed = ["keras"]
"""

PLUGGED = """
[engines]
allowed = ["null"]

[preprocessing]
plugin = "demo"
"""

TURNED = """
import numpy as np

def prepare(picture, width_px, height_px):
    return np.full((height_px, width_px, 3), picture[0, 0, ::-1], dtype=np.uint8)
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def installation(folder: Path, more: str, *, red: float) -> Installation:
    """An installation with one red photo, which is also the golden image, and the card mine@1."""
    photo = folder / "red.png"
    Image.new("RGB", (20, 20), "red").save(photo)
    card = CARD.format(more=more, golden=f"../../{photo.name}", golden_sha256=sha256(photo), red=red)
    (folder / "models" / "mine").mkdir(parents=True, exist_ok=True)
    (folder / "models" / "mine" / "card.toml").write_text(card)
    settings = (f"models_dir={folder / 'models'}", "models=mine@1")
    return Installation(folder=folder, cache_dir=folder / "cache", settings=settings)


@pytest.fixture
def saved(tmp_path: Path) -> Installation:
    """An installation in which mine@1 is a saved Keras model."""
    import keras

    image = keras.Input((8, 8, 3))
    path = tmp_path / "models" / "mine" / "model.keras"
    path.parent.mkdir(parents=True)
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)).save(path)
    return installation(tmp_path, SAVED.format(sha256=sha256(path)), red=255)


@pytest.fixture
def plugged(tmp_path: Path) -> Installation:
    """An installation in which mine@1 is the null engine behind a plug-in that turns red into blue."""
    folder = install_preprocessing(tmp_path / "site-packages", TURNED)
    return replace(installation(tmp_path, PLUGGED, red=0), importable=(folder,))


def complaint(done: Done) -> str:
    assert (done.exit_code, done.out) == (2, ""), done
    (line,) = done.err.splitlines()
    return line


def scores(house: Installation) -> dict[str, float]:
    (image,) = house.panopticon("search", "--order", "newest", "--json").json["images"]
    found: dict[str, float] = image["scores"]
    return found


def test_a_saved_model_works_until_its_file_differs_by_one_byte(saved: Installation) -> None:
    assert saved.panopticon("index", "red.png").exit_code == 0
    assert scores(saved) == {"red": 255.0, "green": 0.0, "blue": 0.0}

    path = saved.folder / "models" / "mine" / "model.keras"
    content, before = bytearray(path.read_bytes()), sha256(path)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    altered = f"mine@1: weights file {path} has sha256 {sha256(path)}, its card has {before}"

    assert complaint(saved.panopticon("worker", "--model", "mine@1")) == f"panopticon: {altered}"
    assert complaint(saved.panopticon("index", "red.png")).endswith(altered)
    checked = saved.panopticon("models", "check", "mine@1", "--json")
    lines = {line["what"]: line for line in checked.json["lines"]}
    assert checked.exit_code == 1
    assert (lines["weights"]["ok"], lines["weights"]["detail"]) == (False, altered)
    assert not lines["keras: loads and runs"]["ok"]


def test_the_model_gets_what_the_plugin_prepares(plugged: Installation) -> None:
    assert plugged.panopticon("models", "check", "mine@1").exit_code == 0
    assert plugged.panopticon("index", "red.png").exit_code == 0
    assert scores(plugged) == {"red": 0.0, "green": 0.0, "blue": 1.0}


def test_another_version_of_the_plugin_is_refused_under_the_old_version_of_the_model(
    plugged: Installation,
) -> None:
    assert plugged.panopticon("index", "red.png").exit_code == 0
    (folder,) = plugged.importable
    os.rename(folder / "demo_plugin-1.2.dist-info", folder / "demo_plugin-1.3.dist-info")
    metadata = folder / "demo_plugin-1.3.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.2", "1.3"))
    assert "mine@1" in complaint(plugged.panopticon("worker", "--model", "mine@1"))


def test_a_plugin_that_is_not_installed_stops_the_start_in_one_line(plugged: Installation) -> None:
    without = replace(plugged, importable=())
    line = complaint(without.panopticon("worker", "--model", "mine@1"))
    assert "no 'demo' among the entry points 'panopticon.preprocessing'; installed: none; pip install" in line


def test_models_check_reports_a_plugin_that_returns_the_wrong_shape(
    plugged: Installation,
) -> None:
    (folder,) = plugged.importable
    (folder / "demo_plugin.py").write_text(TURNED.replace("(height_px, width_px, 3)", "(1, 1, 3)"))
    checked = plugged.panopticon("models", "check", "mine@1")
    assert checked.exit_code == 1
    assert "from (1, 1, 3) it makes (1, 1, 3) uint8, not (8, 8, 3) uint8" in checked.out
