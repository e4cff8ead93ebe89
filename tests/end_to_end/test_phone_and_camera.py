"""A folder as a phone and a camera leave it: HEIC, RAW, pairs and a film, with the real models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import dng, heif, pictures
from tests.end_to_end.command import Installation
from tests.end_to_end.test_sample_photos import in_package


def even(name: str) -> Image.Image:
    """Return a sample photo without its last row and column where their number is odd."""
    image = Image.open(in_package(name))
    return image.crop((0, 0, image.width // 2 * 2, image.height // 2 * 2))


CAT = even("skimage:data/chelsea.png")
COFFEE = even("skimage:data/coffee.png")
FLOWER = even("sklearn:datasets/images/flower.jpg")


def jpeg(image: Image.Image) -> bytes:
    return pictures.encoded(image, "JPEG", quality=90)


def on_its_side(image: Image.Image) -> bytes:
    """Return a HEIC as a phone that was held upright writes it: stored on its side, with a turn."""
    return heif.file_of([heif.coded(image.transpose(Image.Transpose.ROTATE_90), heif.irot(3))])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> dict[str, Any]:
    """Index the folder and return the report."""
    folder = tmp_path_factory.mktemp("phone_and_camera")
    files = {
        "IMG_1.HEIC": heif.encoded(CAT),
        "IMG_1.MOV": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(100),
        "IMG_2.HEIC": on_its_side(CAT),
        "really a heic.jpg": heif.encoded(COFFEE),
        "DSC_1.NEF": dng.dng(COFFEE, preview=jpeg(CAT.resize(COFFEE.size)), preview_px=COFFEE.size),
        "DSC_2.DNG": dng.dng(COFFEE, thumbnail=CAT),
        "DSC_3.JPG": jpeg(FLOWER),
        "DSC_3.NEF": dng.dng(FLOWER),
        "DSC_4.CR2": dng.dng(COFFEE, claimed_px=(900, 600)),
    }
    for name, content in files.items():
        path = folder / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    installation = Installation(folder=folder, cache_dir=cache_dir)
    done = installation.panopticon("index", "--json", "photos")
    assert done.exit_code == 1, done.err
    said: dict[str, Any] = done.json
    return said


def tags(report: dict[str, Any], name: str) -> str:
    """Return the tags of a photo, best first, in one string."""
    (photo,) = (photo for photo in report["photos"] if f"/{name}#" in photo["image_uri"].replace("%20", " "))
    return ", ".join(photo["tags"])


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("IMG_1.HEIC", "cat"),
        ("IMG_2.HEIC", "cat"),
        ("really a heic.jpg", "espresso"),
        ("DSC_1.NEF", "cat"),
        ("DSC_2.DNG", "espresso"),
        ("DSC_3.JPG", "daisy"),
    ],
)
def test_each_photo_has_the_tags_of_what_it_shows(report: dict[str, Any], name: str, tag: str) -> None:
    assert tag in tags(report, name)


def test_the_second_file_of_a_pair_is_not_a_photo(report: dict[str, Any]) -> None:
    assert report["skipped"]["pair"]["files"] == 2
    assert not any(
        "MOV" in photo["image_uri"] or "DSC_3.NEF" in photo["image_uri"] for photo in report["photos"]
    )


def test_a_raw_file_without_all_of_its_data_is_refused_in_words(report: dict[str, Any]) -> None:
    (failure, *_) = report["failures"]
    assert (failure["reason"], failure["detail"]) == ("truncated", "the sensor's data end early")
