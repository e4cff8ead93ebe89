import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from panopticon.errors import Rejected
from panopticon.images.readers.animation import shows_something
from panopticon.images.readers.png.chunks import chunks_of
from panopticon.images.readers.png.reader import picture_of as picture_from
from tests import pictures
from tests.panopticon.images.readers.shown import colour_of, difference, rejection_of, shown, zero_filled

PLAIN = pictures.one_of_each()["PNG"]


def picture_of(encoded: bytes) -> bytes:
    return picture_from(chunks_of(encoded))


def test_a_plain_png_is_left_as_it_is() -> None:
    assert picture_of(PLAIN) == PLAIN


def test_chunks_that_do_not_affect_the_picture_are_removed() -> None:
    loud = pictures.with_chunks(PLAIN, (b"tEXt", b"Comment\0hello"), (b"acTL", bytes(8)), (b"prVt", b"x"))
    assert picture_of(loud) == PLAIN


def test_orientation_and_profile_are_kept() -> None:
    dressed = pictures.with_chunks(
        PLAIN, (b"iCCP", b"p\0\0" + zlib.compress(b"profile")), (b"eXIf", b"II*\0")
    )
    assert picture_of(dressed) == dressed


@pytest.mark.parametrize(
    "profile", [zlib.compress(bytes(2 * 1024 * 1024)), b"not packed"], ids=["bomb", "broken"]
)
def test_a_profile_that_cannot_be_unpacked_is_removed(profile: bytes) -> None:
    assert picture_of(pictures.with_chunks(PLAIN, (b"iCCP", b"p\0\0" + profile))) == PLAIN


def test_bytes_after_the_end_are_removed() -> None:
    assert picture_of(PLAIN + b"more") == PLAIN


def test_a_missing_end_is_truncated() -> None:
    with pytest.raises(Rejected) as raised:
        picture_of(PLAIN[:-12])
    assert raised.value.reason == "truncated"


def test_a_first_chunk_that_is_not_a_header_is_corrupt() -> None:
    with pytest.raises(Rejected) as raised:
        picture_of(PLAIN[:8] + PLAIN[33:])
    assert raised.value.reason == "corrupt"


def test_a_second_header_is_corrupt() -> None:
    second = pictures.with_chunks(PLAIN, (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)))
    with pytest.raises(Rejected) as raised:
        picture_of(second)
    assert raised.value.reason == "corrupt"


def moving(*frames: Image.Image, **options: Any) -> bytes:
    return pictures.encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], **options)


EMPTY = Image.new("RGBA", (48, 48))
GREEN = Image.new("RGBA", (48, 48), (0, 200, 0))


def test_the_first_frame_is_shown_if_it_shows_something() -> None:
    assert colour_of(moving(GREEN, Image.new("RGBA", (48, 48), "red"))) == (0, 200, 0)


def test_empty_frames_before_the_first_picture_are_skipped() -> None:
    assert colour_of(moving(EMPTY, EMPTY, GREEN)) == (0, 200, 0)


def test_an_empty_first_image_that_is_not_part_of_the_animation_is_skipped() -> None:
    assert colour_of(moving(EMPTY, GREEN, Image.new("RGBA", (48, 48), "red"), default_image=True)) == (
        0,
        200,
        0,
    )


def test_a_first_image_that_is_not_part_of_the_animation_is_shown() -> None:
    red = Image.new("RGBA", (48, 48), "red")
    assert colour_of(moving(GREEN, red, EMPTY, default_image=True)) == (0, 200, 0)


def test_an_animation_that_never_shows_anything_is_paper() -> None:
    assert colour_of(moving(EMPTY, EMPTY)) == (255, 255, 255)


def test_a_frame_smaller_than_the_canvas_lies_at_its_place() -> None:
    frame = EMPTY.copy()
    frame.paste((0, 200, 0, 255), (30, 20, 48, 48))
    pixels = shown(moving(EMPTY, frame), (48, 48))
    assert tuple(pixels[40, 40]) == (0, 200, 0)
    assert tuple(pixels[5, 5]) == (255, 255, 255)


def test_a_frame_outside_the_canvas_ends_the_search() -> None:
    whole = moving(EMPTY, GREEN)
    at = whole.rindex(b"fcTL")
    control = whole[at + 4 : at + 8] + struct.pack(">4L", 48, 48, 1, 0) + whole[at + 24 : at + 30]
    broken = whole[: at - 4] + pictures.chunk(b"fcTL", control) + whole[at + 34 :]
    assert colour_of(broken) == (255, 255, 255)


def test_the_search_for_a_frame_is_limited() -> None:
    faint = [Image.new("RGBA", (48, 48), (0, 0, index, 1)) for index in range(80)]
    assert min(colour_of(moving(*faint, GREEN))) >= 253
    assert colour_of(moving(*faint[:30], GREEN)) == (0, 200, 0)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_orientation_counts_before_and_after_the_data(late: bool, depth: int) -> None:
    exif = b"II*\0" + struct.pack("<LH", 8, 1) + struct.pack("<HHLL", 274, 3, 1, 3) + bytes(4)
    samples = np.asarray(pictures.photo().transpose(Image.Transpose.ROTATE_180)).astype(">u2") * 257
    rows = b"".join(b"\0" + (row.tobytes() if depth == 16 else row.tobytes()[1::2]) for row in samples)
    keyed = [(b"tRNS", struct.pack(">3H", 1, 2, 3))]
    plain = pictures.png(48, 36, depth=depth, rows=rows, extra=keyed)
    turned = pictures.chunk(b"eXIf", exif)
    whole = plain[:-12] + turned + plain[-12:] if late else plain[:33] + turned + plain[33:]
    assert difference(whole, pictures.photo()) < 1


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("level", [0, 6])
def test_a_half_written_file_is_rejected(kept: float, level: int) -> None:
    whole = pictures.encoded(pictures.photo(120, 90), "PNG", compress_level=level)
    assert rejection_of(zero_filled(whole, kept)).reason in {"truncated", "corrupt"}


def test_a_file_that_breaks_off_between_chunks_is_truncated() -> None:
    whole = pictures.encoded(pictures.photo(), "PNG")
    rejection = rejection_of(whole[:-12] + bytes(12))
    assert rejection.reason == "truncated"
    assert "zeros" in rejection.detail


@pytest.mark.parametrize(
    ("alphas", "shows"), [(b"", True), (b"\0", True), (b"\0\0", False), (b"\0\x7f", False), (b"\0\x80", True)]
)
def test_a_palette_shows_something_if_a_colour_in_use_is_opaque(alphas: bytes, shows: bool) -> None:
    image = Image.new("P", (4, 4), 1)
    image.info["transparency"] = alphas
    assert shows_something(image) == shows
