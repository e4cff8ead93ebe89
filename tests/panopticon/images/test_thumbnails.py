"""Thumbnails for people."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits
from panopticon.images.thumbnails import thumbnail


def jpeg_of(size_px: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.new("RGB", size_px, (200, 90, 20)).save(file, format="JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("size_px", [(640, 480), (30, 900), (1, 1)])
def test_a_thumbnail_is_a_square_jpeg_of_the_size_asked_for(size_px: tuple[int, int]) -> None:
    made = Image.open(io.BytesIO(thumbnail(jpeg_of(size_px), side_px=64, limits=DecodeLimits())))
    assert (made.format, made.size) == ("JPEG", (64, 64))
    assert made.getpixel((32, 32)) == pytest.approx((200, 90, 20), abs=4)


def test_a_thumbnail_has_no_metadata_of_the_original() -> None:
    encoded = jpeg_of((64, 64))
    assert b"where I live" in encoded
    assert b"where I live" not in thumbnail(encoded, side_px=64, limits=DecodeLimits())


def test_an_image_beyond_the_limits_has_no_thumbnail() -> None:
    with pytest.raises(Rejected, match="too_many_pixels"):
        thumbnail(jpeg_of((640, 480)), side_px=64, limits=DecodeLimits(max_pixels=1000))
