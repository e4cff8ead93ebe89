"""Thumbnails of originals, whatever is in them."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from panopticon.settings import Settings
from storage.originals import open_originals
from storage.originals.files import uri_of
from tests import dng, heif, pictures
from tests.contracts.examples import image
from tests.house import house_of
from workers.comparison import thumbnails
from workers.comparison.thumbnails import Photo, fetch_photos

PHOTO = pictures.photo(160, 120)


def photos_of(folder: Path, *contents: bytes, **settings: object) -> list[Photo]:
    """Return the thumbnails of files with these contents."""
    options = Settings(database=f"sqlite:///{folder / 'panopticon.db'}", **settings)  # type: ignore[arg-type]
    image_ids = [str(number) for number in range(len(contents))]
    with house_of(options) as house:
        for image_id, content in zip(image_ids, contents, strict=True):
            path = folder / image_id
            path.write_bytes(content)
            row = replace(image(image_id), image_uri=uri_of(os.fsencode(path)))
            house.real.store.catalogue.put([row])
        return fetch_photos(open_originals(options), house.real.store.catalogue, options, image_ids)


def test_heic_and_raw_have_thumbnails(tmp_path: Path) -> None:
    for photo in photos_of(tmp_path, heif.encoded(PHOTO), dng.dng(PHOTO)):
        assert Image.open(io.BytesIO(photo.jpeg)).size == (thumbnails.SIDE_PX, thumbnails.SIDE_PX)
        assert photo.problem == ""


def test_a_file_that_is_rejected_is_replaced_by_its_reason(tmp_path: Path) -> None:
    (photo,) = photos_of(tmp_path, heif.encoded(PHOTO)[:-100])
    assert photo.jpeg == b""
    assert photo.problem.startswith("truncated: ")


def test_a_file_that_takes_too_long_is_replaced_by_the_reason(tmp_path: Path) -> None:
    (photo,) = photos_of(tmp_path, heif.encoded(PHOTO), item_timeout_s=0.001)
    assert photo.problem == "not decoded within 0.001 seconds"


def test_a_decoder_that_dies_costs_one_thumbnail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_PROCESS", "tests.workers.comparison.dying_process")
    (photo,) = photos_of(tmp_path, heif.encoded(PHOTO))
    assert photo.problem == "its decoder ended with signal 11"
