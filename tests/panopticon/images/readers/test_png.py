import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers.animation import most_frames, shows_something
from panopticon.images.readers.png.chunks import chunks_of
from panopticon.images.readers.png.reader import picture_of as picture_from
from tests import pictures
from tests.panopticon.images.profiles import SWAPPED
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
    ("chunk", "expected"),
    [
        ((b"cICP", bytes((12, 13, 0, 1))), (255, 0, 0)),
        ((b"iCCP", b"p\0\0" + zlib.compress(SWAPPED)), (51, 234, 35)),
        ((b"gAMA", struct.pack(">L", 100_000)), (245, 124, 104)),
    ],
)
def test_colours_named_for_the_file_are_those_of_every_frame(
    chunk: tuple[bytes, bytes], expected: tuple[int, ...]
) -> None:
    whole = moving(EMPTY, Image.new("RGBA", (48, 48), (234, 51, 35)))
    assert colour_of(pictures.with_chunks(whole, chunk)) == pytest.approx(expected, abs=40)


def test_the_primaries_of_the_file_are_those_of_every_frame_unless_it_is_srgb() -> None:
    wide = (b"cHRM", struct.pack(">8L", 31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000))
    whole = moving(EMPTY, Image.new("RGBA", (48, 48), (234, 51, 35)))
    assert colour_of(pictures.with_chunks(whole, wide)) == pytest.approx((255, 0, 0), abs=3)
    assert colour_of(pictures.with_chunks(whole, wide, (b"sRGB", b"\0"))) == (234, 51, 35)


def test_a_later_frame_is_turned_as_the_file_is() -> None:
    exif = b"II*\0" + struct.pack("<LH", 8, 1) + struct.pack("<HHLL", 274, 3, 1, 3) + bytes(4)
    frame = GREEN.copy()
    frame.paste((200, 0, 0, 255), (0, 0, 48, 24))
    pixels = shown(pictures.with_chunks(moving(EMPTY, frame), (b"eXIf", exif)), (48, 48))
    assert tuple(pixels[40, 24]) == (200, 0, 0)


def test_other_parts_may_stand_between_the_parts_of_a_frame() -> None:
    whole = moving(EMPTY, GREEN)
    at = whole.index(b"fdAT") - 4
    exif = pictures.chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0")
    assert colour_of(whole[:at] + exif + whole[at:]) == (0, 200, 0)


def test_later_frames_share_the_palette_and_its_alpha() -> None:
    rows = [(b"\0" + bytes([index]) * 4) * 4 for index in (0, 1)]
    chunks = [
        (b"PLTE", bytes((9, 9, 9, 0, 200, 0))),
        (b"tRNS", b"\0"),
        (b"acTL", struct.pack(">LL", 2, 0)),
    ]
    control = struct.pack(">5LHHBB", 1, 4, 4, 0, 0, 1, 10, 0, 0)
    still = pictures.png(4, 4, kind=3, rows=rows[0], extra=chunks)
    later = pictures.chunk(b"fcTL", control) + pictures.chunk(b"fdAT", bytes(4) + zlib.compress(rows[1]))
    assert colour_of(still[:-12] + later + still[-12:]) == (0, 200, 0)


@pytest.mark.parametrize(("alpha", "shows"), [(0, False), (127, False), (128, True), (255, True)])
@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_a_picture_with_alpha_shows_something_if_a_pixel_is_more_than_half_opaque(
    mode: str, alpha: int, shows: bool
) -> None:
    image = Image.new(mode, (4, 4))
    image.putalpha(alpha)
    assert shows_something(image) == shows


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_picture_in_its_transparent_colour_shows_nothing(mode: str) -> None:
    image = Image.new(mode, (4, 4), 7)
    image.info["transparency"] = 7
    assert not shows_something(image)
    image.putpixel((3, 3), 8)
    assert shows_something(image)


@pytest.mark.parametrize(("side_px", "most"), [(10, 64), (1000, 32), (4000, 2)])
def test_fewer_frames_are_searched_the_larger_they_are(side_px: int, most: int) -> None:
    assert most_frames((side_px, side_px), DecodeLimits(max_pixels=1_000_000)) == most


@pytest.mark.parametrize(
    ("alphas", "shows"), [(b"", True), (b"\0", True), (b"\0\0", False), (b"\0\x7f", False), (b"\0\x80", True)]
)
def test_a_palette_shows_something_if_a_colour_in_use_is_opaque(alphas: bytes, shows: bool) -> None:
    image = Image.new("P", (4, 4), 1)
    image.info["transparency"] = alphas
    assert shows_something(image) == shows
