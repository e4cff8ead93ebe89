"""Camera RAW: the camera's own JPEG at full size, else the developed sensor data, never a thumbnail."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest
from PIL import Image

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import Decoded, decode
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers.raw import is_inside_tiff
from tests import dng, pictures

PHOTO = pictures.photo(400, 300)
OTHER = pictures.photo(400, 300, seed=9)
TURNS = Image.Transpose
ORIENTATIONS = [
    (2, TURNS.FLIP_LEFT_RIGHT),
    (3, TURNS.ROTATE_180),
    (4, TURNS.FLIP_TOP_BOTTOM),
    (5, TURNS.TRANSPOSE),
    (6, TURNS.ROTATE_270),
    (7, TURNS.TRANSVERSE),
    (8, TURNS.ROTATE_90),
]
SIDE_PX = 40
"""Small enough for the sensor's data to be developed at half size."""
RIGHT = 3.0
"""Mean difference, of 255, up to which two pictures count as the same."""


def decoded(encoded: bytes, *, side_px: int = SIDE_PX, limits: DecodeLimits | None = None) -> Decoded:
    square = Input(width_px=side_px, height_px=side_px)
    return decode(encoded, input=square, preprocessing=Preprocessing(), limits=limits or DecodeLimits())


def difference(encoded: bytes, expected: Image.Image, *, side_px: int = SIDE_PX) -> float:
    """Return the mean difference between the picture of a file and the one expected, as PNG."""
    wanted = decoded(pictures.encoded(expected, "PNG"), side_px=side_px)
    found = decoded(encoded, side_px=side_px)
    assert (found.width_px, found.height_px) == (wanted.width_px, wanted.height_px)
    return float(np.abs(found.pixels.astype(int) - wanted.pixels).mean())


def reason(encoded: bytes, *, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(Rejected) as raised:
        decoded(encoded, limits=limits)
    return str(raised.value)


@cache
def plain() -> bytes:
    """Return a DNG of the photo whose thumbnail shows another one."""
    return dng.dng(PHOTO, thumbnail=OTHER)


def with_preview(preview: Image.Image, *, orientation: int = 1) -> bytes:
    """Return a DNG of the other photo with a JPEG of `preview` in it."""
    jpeg = pictures.encoded(preview, "JPEG", quality=95)
    return dng.dng(OTHER, preview=jpeg, preview_px=preview.size, orientation=orientation)


class TestSensorData:
    @pytest.mark.parametrize("side_px", [SIDE_PX, 200], ids=["half size", "full size"])
    def test_they_are_developed_and_the_thumbnail_is_not_looked_at(self, side_px: int) -> None:
        assert difference(plain(), PHOTO, side_px=side_px) < RIGHT

    def test_a_photo_without_white_gets_none(self) -> None:
        dull = PHOTO.point(lambda value: value * 9 // 10)
        assert difference(dng.dng(dull), dull) < RIGHT

    def test_a_dark_photo_stays_dark(self) -> None:
        night = PHOTO.point(lambda value: value // 8)
        assert difference(dng.dng(night), night) < RIGHT

    @pytest.mark.parametrize(("orientation", "turn"), ORIENTATIONS)
    def test_they_are_turned_once(self, orientation: int, turn: Image.Transpose) -> None:
        assert difference(dng.dng(PHOTO, orientation=orientation), PHOTO.transpose(turn)) < RIGHT


class TestPreview:
    @pytest.mark.parametrize("size_px", [(400, 300), (200, 150)])
    def test_a_jpeg_of_at_least_half_the_size_is_taken(self, size_px: tuple[int, int]) -> None:
        found = decoded(with_preview(PHOTO.resize(size_px)))
        wanted = decoded(pictures.encoded(PHOTO, "PNG"))
        assert (found.width_px, found.height_px) == PHOTO.size
        assert np.abs(found.pixels.astype(int) - wanted.pixels).mean() < RIGHT

    def test_a_smaller_jpeg_is_not_looked_at(self) -> None:
        assert difference(with_preview(PHOTO.resize((196, 147))), OTHER) < RIGHT

    def test_a_broken_jpeg_is_not_looked_at(self) -> None:
        jpeg = pictures.encoded(PHOTO, "JPEG")
        broken = dng.dng(OTHER, preview=jpeg[:200] + bytes(len(jpeg) - 200), preview_px=PHOTO.size)
        assert difference(broken, OTHER) < RIGHT

    @pytest.mark.parametrize(("orientation", "turn"), ORIENTATIONS)
    def test_it_is_turned_with_the_sensor(self, orientation: int, turn: Image.Transpose) -> None:
        assert difference(with_preview(PHOTO, orientation=orientation), PHOTO.transpose(turn)) < RIGHT

    def test_one_that_the_camera_has_turned_is_not_turned_again(self) -> None:
        upright = PHOTO.transpose(TURNS.ROTATE_270)
        assert difference(with_preview(upright, orientation=6), upright) < RIGHT

    def test_a_square_one_is_turned_with_the_sensor(self) -> None:
        square = PHOTO.crop((0, 0, 300, 300))
        jpeg = pictures.encoded(square, "JPEG", quality=95)
        file = dng.dng(OTHER.crop((0, 0, 300, 300)), preview=jpeg, preview_px=square.size, orientation=6)
        assert difference(file, square.transpose(TURNS.ROTATE_270)) < RIGHT


class TestRecognition:
    def test_a_dng_is_one(self) -> None:
        assert is_inside_tiff(plain())

    @pytest.mark.parametrize("photometric", [32803, 34892])
    def test_a_directory_of_sensor_data_makes_one(self, photometric: int) -> None:
        assert is_inside_tiff(pictures.tiff([(256, 3, 1, 8), (262, 3, 1, photometric)]))

    @pytest.mark.parametrize("mark", [b"CR\2\0", b"IIII", b"MMMM"])
    def test_a_mark_after_the_header_makes_one(self, mark: bytes) -> None:
        assert is_inside_tiff(b"II*\0\x10\0\0\0" + mark + bytes(40))

    def test_a_tiff_of_a_photo_is_not_one(self) -> None:
        assert not is_inside_tiff(pictures.one_of_each()["TIFF"])

    def test_directories_in_a_circle_end(self) -> None:
        circle = b"II*\0" + b"\x08\0\0\0" + b"\1\0" + b"\x4a\1\4\0\1\0\0\0\x08\0\0\0" + b"\x08\0\0\0"
        assert not is_inside_tiff(circle)


class TestRefusals:
    def test_without_the_extra_it_is_refused_in_a_line_that_names_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "rawpy", None)
        assert reason(plain()) == (
            "unsupported: a camera's RAW file; to read these: pip install 'panopticon[raw]'"
        )

    def test_a_size_beyond_the_limit_is_refused(self) -> None:
        huge = dng.dng(PHOTO, claimed_px=(20_000, 10_000))
        assert reason(huge).startswith("too_many_pixels: 20000 x 10000")

    def test_a_file_that_was_cut_within_its_tags_is_truncated(self) -> None:
        # LibRaw would read it, with another colour.
        assert reason(plain()[:-1]).startswith("truncated: the file ends before the values of its tag ")

    def test_missing_sensor_data_are_truncated(self) -> None:
        assert reason(dng.dng(PHOTO, claimed_px=(800, 600))).startswith("truncated: ")

    def test_a_file_whose_second_half_is_still_to_come_is_truncated(self) -> None:
        # A magic of Olympus, since the directory of a TIFF may be anywhere.
        assert reason(b"IIRO" + b"\x08\0\0\0" + bytes(range(1, 200)) + bytes(1000)).startswith("truncated: ")

    @pytest.mark.parametrize(
        "magic",
        [
            b"FUJIFILMCCD-RAW ",
            b"IIRO\x08\0\0\0",
            b"IIU\0\x18\0\0\0",
            b"FOVb",
            b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        ],
    )
    def test_a_beginning_alone_is_refused_in_words(self, magic: bytes) -> None:
        refused = reason(magic + bytes(range(1, 256)) * 4)
        assert refused.partition(":")[0] in ("unsupported", "corrupt", "truncated", "zero_size")
        assert "Error" not in refused

    def test_a_camera_whose_colours_are_not_known_is_refused(self) -> None:
        # Without its matrix, a DNG has only the numbers of the sensor.
        unknown = plain().replace((50721).to_bytes(2, "little"), (65000).to_bytes(2, "little"))
        assert reason(unknown).startswith("unsupported: ")
