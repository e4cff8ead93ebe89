"""A message that was removed from a queue by hand is found as a lost image, and brought back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from tests.end_to_end.command import Installation

MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture
def robbed(without_a_message: Installation, tmp_path: Path) -> Installation:
    """Five photos accepted by a model's queue, from which one message was removed by hand."""
    return without_a_message.copied_to(tmp_path / "robbed")


@pytest.fixture(scope="module")
def without_a_message(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Installation:
    folder = tmp_path_factory.mktemp("loss")
    settings = (f"models_dir={MODELS}", "models=null@1", "settle_s=0.2")
    installation = Installation(folder=folder, cache_dir=cache_dir, settings=settings)
    for number in range(5):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "ids").write_text("".join(f"image-{number}\n" for number in range(5)))
    listing = "".join(f"image-{number},file://{folder}/{number}.png\n" for number in range(5))
    (folder / "photos.csv").write_text(listing)
    first = installation.panopticon("index", str(folder / "0.png"))
    assert first.exit_code == 0, first.err
    submitted = installation.panopticon("submit", "photos.csv")
    assert submitted.exit_code == 0, submitted.err
    with sqlite3.connect(folder / "panopticon.db") as connection:
        removed = connection.execute(
            "DELETE FROM messages WHERE CAST(body AS TEXT) LIKE '%image-3%' AND queue LIKE '%null%'"
        ).rowcount
    connection.close()
    assert removed == 1
    finished = installation.panopticon("index", str(folder / "0.png"))
    assert finished.exit_code == 0, finished.err
    return installation


def test_audit_names_the_lost_image_and_exits_1(robbed: Installation) -> None:
    audit = robbed.panopticon("audit", "--ids", "ids", "--json")
    assert audit.exit_code == 1, audit.err
    verdicts = {line["image_id"]: line["verdict"] for line in audit.json["verdicts"]}
    assert verdicts == {**{f"image-{number}": "stored" for number in range(5)}, "image-3": "lost"}


def test_status_counts_it_as_lost(robbed: Installation) -> None:
    (row,) = robbed.panopticon("status", "--json").json["models"]
    assert (row["pending"], row["lost"]) == (1, 1)


def test_fix_brings_it_back(robbed: Installation) -> None:
    assert robbed.panopticon("audit", "--ids", "ids", "--fix").exit_code == 0
    assert robbed.panopticon("index", "0.png").exit_code == 0
    audit = robbed.panopticon("audit", "--ids", "ids", "--json")
    assert audit.exit_code == 0, audit.out
