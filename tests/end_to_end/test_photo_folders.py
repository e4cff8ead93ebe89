"""`panopticon index` reports what it skips, refuses and cannot read in a folder as people keep them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.end_to_end.command import MODELS, Done, Installation

PHOTOS = ("2019/DSC1.JPG", "2019/summer/beach.jpg", "trip.jpg/hill.png")
CLUTTER = {
    "2019/DSC1.NEF": b"II*\0" + bytes(500),
    "2019/._DSC1.JPG": b"\0\5\x16\7" + bytes(500),
    "2019/@eaDir/DSC1.JPG/SYNOPHOTO_THUMB_M.jpg": b"\xff\xd8\xff" + bytes(500),
    "#recycle/old.jpg": b"\xff\xd8\xff" + bytes(500),
    "drafts/x.jpg": b"\xff\xd8\xff" + bytes(500),
    ".panopticonignore": b"drafts/\n",
    "notes.txt": b"a note",
}


def installation(folder: Path) -> Installation:
    settings = (f"models_dir={MODELS}", "models=null@1")
    return Installation(folder=folder, cache_dir=folder / "cache", settings=settings)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A folder of three good photos, and what a camera, a Mac, a NAS and a person leave among them."""
    house = installation(tmp_path_factory.mktemp("kept"))
    photos = house.folder / "photos"
    for number, name in enumerate(PHOTOS):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (number, 90, 90)).save(photos / name)
    for name, content in CLUTTER.items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(content)
    return house


@pytest.fixture(scope="module")
def clean(kept: Installation) -> Done:
    return kept.panopticon("index", "photos")


@pytest.fixture(scope="module")
def broken(kept: Installation, clean: Done) -> Done:
    """The report after two photos were broken and a link lost its target."""
    photos = kept.folder / "photos"
    (photos / "2019" / "summer" / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (photos / "2020").symlink_to("/mnt/missing/2020")
    return kept.panopticon("index", "photos", "--model", "null@1", "--model", "counting@1")


def rows(done: Done, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading."""
    lines = iter(done.out.splitlines())
    next(line for line in lines if line.startswith(heading))
    next(lines)
    found = []
    for line in lines:
        if not line.strip() or line.startswith(("1 other", "cannot")):
            break
        found.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return found


def test_a_folder_as_people_keep_it_gives_a_clean_report(clean: Done) -> None:
    assert clean.exit_code == 0, clean.err
    assert [row[0] for row in rows(clean, "photo")] == [f"photos/{name}" for name in PHOTOS]
    assert rows(clean, "skipped") == [
        ["metadata of macOS", "1", "photos/2019/._DSC1.JPG"],
        ["trash", "1", "photos/#recycle"],
        ["thumbnails and caches of other programs", "1", "photos/2019/@eaDir"],
        ["excluded (.panopticonignore)", "1", "photos/drafts"],
        ["second file of a pair", "1", "photos/2019/DSC1.NEF"],
    ]
    assert "1 other file skipped (1 .txt)" in clean.out
    assert "refused" not in clean.out
    assert "cannot read" not in clean.out


def test_a_refused_photo_is_one_line_with_its_folders_and_exit_code_1(broken: Done) -> None:
    assert broken.exit_code == 1
    (row,) = rows(broken, "refused")
    assert row[:2] == ["photos/2019/summer/half.jpg", "truncated"]
    assert row[-1] == "all models"


def test_refused_photos_are_counted_apart_from_outputs(broken: Done) -> None:
    """Three photos of a new model, and one that both models refuse."""
    assert "3 outputs and 2 refusals in " in broken.out


def test_what_cannot_be_read_is_one_line_under_the_name_that_the_person_used(broken: Done) -> None:
    (line,) = [line for line in broken.out.splitlines() if line.startswith("cannot read")]
    assert line == "cannot read photos/2020: a link to /mnt/missing/2020, which does not exist"


def test_json_has_the_same_counts_and_the_exit_code_stays_1_until_all_is_stored(
    kept: Installation, broken: Done
) -> None:
    again = kept.panopticon("index", "photos", "--json")
    assert again.exit_code == broken.exit_code == 1
    assert again.json["skipped"]["trash"] == {"files": 0, "folders": 1, "example": "photos/#recycle"}
    assert again.json["other_files"] == {".txt": 1}
    assert again.json["left_aside"] == 1
    (kept.folder / "photos" / "2020").unlink()
    Image.new("RGB", (20, 20), "teal").save(kept.folder / "photos" / "2019" / "summer" / "half.jpg")
    repaired = kept.panopticon("index", "photos", "--json")
    assert (repaired.exit_code, repaired.json["failures"]) == (0, [])


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    done = installation(tmp_path).panopticon("index", "disk")
    assert done.exit_code == 0
    assert done.out.splitlines() == [
        "nothing to index in disk: an empty folder; is its disk mounted?",
        "Nothing to do: no photo was found.",
    ]
