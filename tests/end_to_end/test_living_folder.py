"""`panopticon index --prune` on a folder that people keep: search equals the folder after each step."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from storage.originals.files import uri_of
from storage.search import open_search
from tests.end_to_end.command import MODELS, NULL, Installation, is_one_clear_line

PHOTOS = 60


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    settings = (f"models_dir={MODELS}", f"models={NULL}", "settle_s=0.2")
    home = Installation(folder=tmp_path, cache_dir=tmp_path / "cache", settings=settings)
    for number in range(PHOTOS):
        write(home, f"photos/{2020 + number % 4}/{number:02}.bmp", number)
    return home


def write(home: Installation, name: str, number: int) -> Path:
    path = home.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number * 4 % 256, number // 64, 7)).save(path)
    return path


def index(home: Installation, *options: str) -> Any:
    done = home.panopticon("index", "photos", "--json", *options)
    assert done.exit_code == 0, done.err
    return done.json["folders"]


def inferences(home: Installation) -> int:
    """Count the runs of the model: an output that is used again keeps the time at which it was produced."""
    with sqlite3.connect(home.folder / "panopticon.db") as connection:
        rows = connection.execute("SELECT DISTINCT image_id, produced_at_ms FROM outputs").fetchall()
    connection.close()
    return len(rows)


def in_search(home: Installation) -> dict[str, str]:
    """Return the SHA-256 of what search shows, by URI without its fragment."""
    store = home.store()
    try:
        found = open_search(home.database).image_ids(limit=1000)
        outputs = store.outputs.get(found, NULL)
        return {
            row.image_uri.partition("#")[0]: outputs[NULL.key(row.image_id, row.revision)].source_sha256
            for row in store.catalogue.get(found).values()
        }
    finally:
        store.close()


def in_folder(home: Installation) -> dict[str, str]:
    paths = [path for path in (home.folder / "photos").rglob("*") if path.is_file()]
    return {uri_of(bytes(path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def rename_some(photos: Path) -> None:
    for number, path in enumerate(sorted((photos / "2020").iterdir())[:5]):
        os.rename(path, path.with_name(f"renamed {number}.bmp"))


def move_a_folder(photos: Path) -> None:
    (photos / "old").mkdir()
    os.rename(photos / "2021", photos / "old" / "2021")


def swap_two(photos: Path) -> None:
    one, other = sorted((photos / "2022").iterdir())[:2]
    os.rename(one, photos / "swapping")
    os.rename(other, one)
    os.rename(photos / "swapping", other)


def delete_some(photos: Path) -> None:
    for path in sorted((photos / "2023").iterdir())[:5]:
        path.unlink()


def replace_some(photos: Path) -> None:
    """Replace four pictures, two of them by others of the same size and time."""
    for number, path in enumerate(sorted((photos / "2022").iterdir())[4:8]):
        status = path.stat()
        Image.new("RGB", (8, 8 + number // 2), (250 - number, 1, 2)).save(photos / "new.bmp")
        if number < 2:
            assert (photos / "new.bmp").stat().st_size == status.st_size
            os.utime(photos / "new.bmp", ns=(status.st_mtime_ns, status.st_mtime_ns))
        os.rename(photos / "new.bmp", path)


def change_modes(photos: Path) -> None:
    for path in photos.rglob("*.bmp"):
        path.chmod(0o600)


def restore_to_another_disk(photos: Path) -> None:
    shutil.copytree(photos, photos.with_name("copy"))
    shutil.rmtree(photos)
    os.rename(photos.with_name("copy"), photos)


STEPS: tuple[tuple[Callable[[Path], None], int], ...] = (
    (rename_some, 0),
    (move_a_folder, 0),
    (swap_two, 0),
    (delete_some, 0),
    (replace_some, 4),
    (change_modes, 0),
    (restore_to_another_disk, 0),
)
"""Each step, and the number of pictures that have to be inferred after it."""


def test_search_equals_the_folder_after_each_step_and_only_new_pictures_are_inferred(
    home: Installation,
) -> None:
    index(home)
    assert inferences(home) == PHOTOS
    for step, new in STEPS:
        before = inferences(home)
        step(home.folder / "photos")
        index(home, "--prune")
        assert in_search(home) == in_folder(home), step.__name__
        assert inferences(home) - before == new, step.__name__


def test_an_empty_folder_in_the_place_of_a_folder_deletes_nothing(home: Installation) -> None:
    index(home)
    photos, away = home.folder / "photos", home.folder / "away"
    os.rename(photos, away)
    photos.mkdir()
    done = home.panopticon("index", "photos", "--prune")
    is_one_clear_line(done, str(photos), "no photo is found there any more, of 60", "--yes")
    photos.rmdir()
    os.rename(away, photos)
    index(home, "--prune")
    assert in_search(home) == in_folder(home)
    assert inferences(home) == PHOTOS
