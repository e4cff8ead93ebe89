"""The reference of every layout is the picture that its numbers stand for."""

import struct
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.images.limits import DecodeLimits
from panopticon.images.readers import bmp as bmp_reader
from tests import pictures
from tests.panopticon.images.profiles import SWAPPED
from tests.panopticon.images.readers.shown import colour_of, difference, rejection_of, shown

PHOTO = pictures.photo(64, 48)
RGB = np.asarray(PHOTO)
USUAL = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def bmp(
    data: bytes,
    *,
    bits: int,
    size_px: tuple[int, int] = (64, 48),
    header_bytes: int = 40,
    compression: int = 0,
    masks: Sequence[int] = (),
    palette: bytes = b"",
    profile: bytes = b"",
) -> bytes:
    """Return a BMP; the masks follow a header of 40 bytes, and are part of a longer one."""
    header = struct.pack(
        "<LllHHLLllLL", header_bytes, *size_px, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0
    )
    header += struct.pack(f"<{len(masks)}L", *masks)
    header = header.ljust(header_bytes, b"\0")
    if profile:
        place = header_bytes + len(palette) + len(data)
        header = header[:56] + b"DEBM" + header[60:112] + struct.pack("<LL", place, len(profile)) + bytes(4)
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sLLL", b"BM", offset + len(data), 0, offset) + header + palette + data + profile


def rows_of(pixels: NDArray[np.generic]) -> bytes:
    """Return rows from the bottom up, padded to four bytes."""
    rows = [row.tobytes() for row in pixels[::-1]]
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


def bgra(alpha: int) -> bytes:
    return rows_of(np.dstack([RGB[..., ::-1], np.full(RGB.shape[:2], alpha, np.uint8)]))


def packed(masks: Sequence[int], dtype: str, alpha: int = 0) -> bytes:
    """Return pixels with each colour at the bits of its mask."""
    pixels = np.zeros(RGB.shape[:2], np.uint64)
    for index, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        samples = RGB[..., index] if index < 3 else np.full(RGB.shape[:2], alpha)
        pixels |= np.rint(samples / 255 * (mask >> shift)).astype(np.uint64) << np.uint64(shift)
    return rows_of(pixels.astype(dtype))


@pytest.mark.parametrize("header_bytes", [56, 108, 124])
@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_that_is_zero_everywhere_is_not_set(header_bytes: int, alpha: int) -> None:
    whole = bmp(bgra(alpha), bits=32, header_bytes=header_bytes, compression=3, masks=USUAL)
    assert difference(whole, PHOTO) == 0


def test_alpha_that_is_set_anywhere_counts() -> None:
    data = bgra(0)[:-4] + b"\0\0\0\1"
    assert colour_of(bmp(data, bits=32, header_bytes=124, compression=3, masks=USUAL)) == (255, 255, 255)


@pytest.mark.parametrize("header_bytes", [40, 108, 124])
def test_the_fourth_byte_of_plain_pixels_is_not_alpha(header_bytes: int) -> None:
    assert difference(bmp(bgra(9), bits=32, header_bytes=header_bytes), PHOTO) == 0


@pytest.mark.parametrize(
    ("bits", "masks", "tolerance"),
    [
        (16, (0x7C00, 0x03E0, 0x001F), 3),
        (16, (0xF800, 0x07E0, 0x001F), 3),
        (16, (0x001F, 0x03E0, 0x7C00), 3),
        (16, (0x0F00, 0x00F0, 0x000F), 6),
        (32, (0x0000FF, 0x00FF00, 0xFF0000), 0),
        (32, (0xFF000000, 0x00FF0000, 0x0000FF00), 0),
        (32, (0x3FF00000, 0x000FFC00, 0x000003FF), 1),
    ],
)
@pytest.mark.parametrize("top_down", [False, True])
def test_colours_are_found_at_the_bits_of_any_mask(
    bits: int, masks: tuple[int, ...], tolerance: float, top_down: bool
) -> None:
    data = packed(masks, f"<u{bits // 8}")
    size_px = (64, -48) if top_down else (64, 48)
    expected = PHOTO.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if top_down else PHOTO
    whole = bmp(data, bits=bits, size_px=size_px, compression=3, masks=masks)
    assert difference(whole, expected) <= tolerance


@pytest.mark.parametrize("strip_px", [1, 63, 640])
def test_masks_are_read_in_strips_as_at_once(strip_px: int, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = (0x0000FF, 0x00FF00, 0xFF0000)
    monkeypatch.setattr("panopticon.images.readers.bmp.masks._STRIP_PX", strip_px)
    assert difference(bmp(packed(masks, "<u4"), bits=32, compression=3, masks=masks), PHOTO) == 0


def test_rows_of_sixteen_bits_are_padded_to_words() -> None:
    masks = (0x001F, 0x03E0, 0x7C00)
    rows = b"".join(struct.pack("<3Hxx", *[pixel] * 3) for pixel in (0x001F, 0x03E0, 0x7C00))
    pixels = shown(bmp(rows, bits=16, size_px=(3, 3), compression=3, masks=masks), (3, 3))
    assert pixels[:, 1].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]


@pytest.mark.parametrize("masks", [(0x7C00, 0x03E0, 0x001F, 0x8000), (0x0F00, 0x00F0, 0x000F, 0xF000)])
@pytest.mark.parametrize(("alpha", "is_paper"), [(255, False), (0, False)])
def test_alpha_of_sixteen_bits_counts_unless_it_is_not_set(
    masks: tuple[int, ...], alpha: int, is_paper: bool
) -> None:
    whole = bmp(packed(masks, "<u2", alpha), bits=16, header_bytes=124, compression=3, masks=masks)
    assert difference(whole, PHOTO) < 6
    half = bmp(
        packed(masks, "<u2", 0)[:-2] + b"\xff\xff", bits=16, header_bytes=124, compression=3, masks=masks
    )
    assert colour_of(half) == (255, 255, 255)


def test_sixteen_bits_without_masks_have_five_bits_for_each_colour() -> None:
    assert difference(bmp(packed((0x7C00, 0x03E0, 0x001F), "<u2"), bits=16), PHOTO) <= 3


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("colours", [((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (9, 99, 199))])
def test_a_palette_of_two_colours_is_read_at_every_depth(
    bits: int, colours: tuple[tuple[int, int, int], ...]
) -> None:
    numbers = (np.indices((48, 64))[1] // 32).astype(np.uint8)
    bytes_of_row = numbers if bits == 8 else np.packbits(numbers, axis=1)
    if bits == 4:
        bytes_of_row = numbers[:, 0::2] << 4 | numbers[:, 1::2]
    palette = b"".join(bytes((*colour[::-1], 0)) for colour in colours)
    pixels = shown(bmp(rows_of(bytes_of_row), bits=bits, palette=palette), (64, 48))
    assert tuple(pixels[24, 5]) == colours[0]
    assert tuple(pixels[24, 58]) == colours[1]


def test_a_ramp_of_sixteen_greys_with_four_bits_stays_dark() -> None:
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(16))
    whole = bmp(bytes([0xFF]) * 32 * 48, bits=4, palette=palette)
    assert colour_of(whole) == (15, 15, 15)


def test_the_first_header_of_os2_has_a_palette_of_three_bytes() -> None:
    palette = b"".join(bytes((0, index, 0)) for index in range(256))
    header = struct.pack("<LHHHH", 12, 64, 48, 1, 8)
    offset = 14 + len(header) + len(palette)
    whole = struct.pack("<2sLLL", b"BM", 0, 0, offset) + header + palette + bytes([200]) * 64 * 48
    assert colour_of(whole) == (0, 200, 0)


GREENS = b"".join(bytes((0, index, 0, 0)) for index in range(256))


def greens(data: bytes, *, bits: int = 8, size_px: tuple[int, int] = (4, 4)) -> NDArray[np.int16]:
    """Return the numbers of a run-length picture, whose palette makes them greens, from the top row down."""
    palette = GREENS if bits == 8 else GREENS[: 4 * 16]
    whole = bmp(data, bits=bits, size_px=size_px, compression=1 if bits == 8 else 2, palette=palette)
    return shown(whole, size_px)[..., 1]


def test_a_palette_of_run_lengths_ends_with_its_last_whole_colour() -> None:
    whole = bmp(
        bytes((4, 90, 0, 1)), bits=8, size_px=(4, 4), compression=1, palette=GREENS[: 4 * 91] + b"\7\7"
    )
    assert shown(whole, (4, 4))[3, 0].tolist() == [0, 90, 0]


def test_an_empty_row_of_run_lengths_is_a_row() -> None:
    rows = bytes((4, 90, 0, 0, 0, 0, 4, 70, 0, 0, 4, 60, 0, 1))
    assert greens(rows)[:, 0].tolist() == [60, 70, 0, 90]


def test_a_picture_of_run_lengths_may_end_early() -> None:
    assert greens(bytes((4, 90, 0, 1)))[:, 0].tolist() == [0, 0, 0, 90]


def test_a_move_leaves_pixels_out() -> None:
    assert greens(bytes((1, 90, 0, 2, 1, 2, 2, 80, 0, 1))).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 80, 80],
        [0, 0, 0, 0],
        [90, 0, 0, 0],
    ]


def test_pixels_one_by_one_are_padded_to_words() -> None:
    rows = bytes((0, 3, 10, 20, 30, 0, 1, 40, 0, 0)) * 4 + bytes((0, 1))
    assert greens(rows)[2].tolist() == [10, 20, 30, 40]


def test_four_bits_alternate_between_two_colours() -> None:
    rows = (bytes((4, 0xA5, 0, 0)) * 2 + bytes((0, 4, 0x12, 0x34, 0, 0)) * 2) + bytes((0, 1))
    pixels = greens(rows, bits=4)
    assert pixels[3].tolist() == [10, 5, 10, 5]
    assert pixels[0].tolist() == [1, 2, 3, 4]


def test_runs_beyond_the_right_edge_are_cut_off() -> None:
    rows = bytes((4, 90, 0, 0, 9, 80, 0, 0, 0, 0, 4, 60, 0, 1))
    assert greens(rows)[:, 3].tolist() == [60, 0, 80, 90]


@pytest.mark.parametrize("size_px", [(3, 6), (6, 3)])
def test_runs_fill_the_width_of_a_picture_that_is_not_square(size_px: tuple[int, int]) -> None:
    rows = bytes((0, 0)) + bytes((9, 80, 0, 0)) + bytes((0, 1))
    whole = bmp(rows, bits=8, size_px=size_px, compression=1, palette=GREENS)
    found = bmp_reader.read(whole, limits=DecodeLimits(), shrink=lambda _: 1).image.convert("RGB")
    greens = np.asarray(found)[::-1, :, 1]
    assert greens[1].tolist() == [80] * size_px[0]
    assert greens.sum() == 80 * size_px[0]


def test_runs_that_begin_beyond_the_right_edge_are_not_in_the_next_row() -> None:
    rows = bytes((4, 90, 3, 50, 5, 40, 0, 0, 0, 0, 0, 1))
    assert greens(rows)[2].tolist() == [0, 0, 0, 0]


def test_an_odd_number_of_four_bit_pixels_one_by_one_is_padded_to_words() -> None:
    rows = bytes((0, 3, 0x12, 0x30, 1, 0x40, 0, 0, 0, 1))
    assert greens(rows, bits=4)[3].tolist() == [1, 2, 3, 4]
    rows = bytes((0, 5, 0x12, 0x34, 0x50, 0, 0, 0, 0, 1))
    assert greens(rows, bits=4, size_px=(5, 5))[4].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kept", [0, 2, 5])
def test_run_lengths_without_an_end_are_truncated(kept: int) -> None:
    rows = bytes((4, 90, 0, 0, 4, 80, 0, 0))[:kept]
    whole = bmp(rows, bits=8, size_px=(4, 4), compression=1, palette=GREENS)
    assert rejection_of(whole).reason == "truncated"


def test_the_last_row_of_run_lengths_needs_no_end() -> None:
    assert greens(bytes((4, 90, 0, 0)) * 3 + bytes((4, 60)))[0, 0] == 60


def test_a_profile_in_the_file_is_applied() -> None:
    red = Image.new("RGB", (64, 48), (250, 10, 10))
    data = rows_of(np.asarray(red)[..., ::-1])
    assert np.argmax(colour_of(bmp(data, bits=24, header_bytes=124, profile=SWAPPED))) == 1


@pytest.mark.parametrize(("bits", "compression"), [(2, 0), (0, 4), (0, 5), (24, 4)])
def test_other_variants_are_unsupported_in_plain_words(bits: int, compression: int) -> None:
    rejection = rejection_of(bmp(bytes(64 * 48 * 4), bits=bits, compression=compression))
    assert rejection.reason == "unsupported"
    assert "save it as PNG" in rejection.detail


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0xF00, 0xF0, 0)),
        (16, (0xF00, 0xF0, 0x10000)),
        (32, (0xFF0000, 0xFF00, 0xA0)),
        (24, (0xFF, 0xFF00, 0xFF0000)),
    ],
)
def test_masks_without_bits_or_with_gaps_are_unsupported(bits: int, masks: tuple[int, ...]) -> None:
    whole = bmp(bytes(64 * 48 * 4), bits=bits, compression=3, masks=masks)
    assert rejection_of(whole).reason == "unsupported"


@pytest.mark.parametrize("masks", [USUAL, (0xFF, 0xFF00, 0xFF0000)])
def test_a_cut_file_is_truncated(masks: tuple[int, ...]) -> None:
    whole = bmp(bgra(255), bits=32, header_bytes=124, compression=3, masks=masks)
    assert rejection_of(whole[:-100]).reason == "truncated"
