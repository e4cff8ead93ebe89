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
from tests.end_to_end.command import MODELS, NULL, Done, Installation, is_one_clear_line
from workers.submission.folders import image_id_of

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
    done = home.panopticon("search", "--limit", "1000", "--json")
    assert done.exit_code == 0, done.err
    images = {image["image_id"]: image["image_uri"].partition("#")[0] for image in done.json["images"]}
    store = home.store()
    try:
        rows = store.catalogue.get(list(images))
        outputs = store.outputs.get(list(images), NULL)
        return {
            uri: outputs[NULL.key(image_id, rows[image_id].revision)].source_sha256
            for image_id, uri in images.items()
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
    assert len(index(home)["gone"]) == PHOTOS
    photos.rmdir()
    os.rename(away, photos)
    index(home, "--prune")
    assert in_search(home) == in_folder(home)
    assert inferences(home) == PHOTOS


def test_pruning_more_than_the_limit_asks_first(home: Installation) -> None:
    index(home)
    for path in sorted((home.folder / "photos").rglob("*.bmp"))[:13]:
        path.unlink()
    done = home.panopticon("index", "photos", "--prune")
    is_one_clear_line(done, "13 of 60 photos gone", "prune_limit 0.2", "--yes")
    assert len(in_search(home)) == PHOTOS
    index(home, "--prune", "--yes")
    assert in_search(home) == in_folder(home)


def test_the_setting_prunes_and_its_limit_is_a_setting(home: Installation) -> None:
    index(home)
    for path in sorted((home.folder / "photos").rglob("*.bmp"))[:13]:
        path.unlink()
    done = home.panopticon("--set", "prune=true", "--set", "prune_limit=0.5", "index", "photos", "--json")
    assert done.json["folders"]["pruned"] == 13
    assert in_search(home) == in_folder(home)


def show(home: Installation, image: str) -> str:
    done = home.panopticon("show", image)
    assert done.exit_code == 0, done.err
    return done.out


def test_show_tells_where_a_photo_was_and_whether_its_file_is_there(home: Installation) -> None:
    index(home)
    old, new = home.folder / "photos/2020/00.bmp", home.folder / "photos/2020/z.bmp"
    os.rename(old, new)
    index(home)
    text = show(home, str(new))
    assert image_id_of(bytes(old)) in text
    assert f"moved from {old}" in text
    assert show(home, str(old)) == text
    new.unlink()
    assert "no such file on this machine" in show(home, str(new))


def audit(home: Installation, *arguments: str, stdin: bytes = b"") -> Done:
    return home.panopticon("audit", *arguments, "--json", stdin=stdin)


def test_an_audit_reports_photos_whose_files_are_gone(home: Installation) -> None:
    index(home)
    path = home.folder / "photos/2020/00.bmp"
    image_id = image_id_of(bytes(path))
    path.unlink()
    by_path = audit(home, "photos")
    by_id = audit(home, "--ids", "-", stdin=image_id.encode())
    assert by_path.json["files_missing"] == by_id.json["files_missing"] == [image_id]
    assert len(by_path.json["verdicts"]) == PHOTOS


def test_erasing_below_a_path_erases_every_photo_that_was_ever_there(home: Installation) -> None:
    index(home)
    folder = home.folder / "photos/2020"
    ids = [image_id_of(bytes(path)) for path in sorted(folder.iterdir())]
    os.rename(folder / "00.bmp", home.folder / "photos/2021/moved.bmp")
    (folder / "04.bmp").unlink()
    index(home)
    done = home.panopticon("erase", "--under", "photos/2020", "--yes", "--json")
    assert done.json["images"] == len(ids)
    with sqlite3.connect(home.folder / "panopticon.db") as connection:
        listed = {row[0] for row in connection.execute("SELECT image_id FROM folder_list")}
        stored = {row[0] for row in connection.execute("SELECT image_id FROM outputs")}
    connection.close()
    assert not listed & set(ids)
    assert not stored & set(ids)
    assert len(listed) == len(stored) == PHOTOS - len(ids)
