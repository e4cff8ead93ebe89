"""Expected values: BT.2408's reference levels, and powers."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from panopticon.images.readers.png import deep
from tests import pictures
from tests.panopticon.images.profiles import GREY_GAMMA_1, SRGB, SWAPPED
from tests.panopticon.images.readers.shown import colour_of, difference, rejection_of, shown

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
P3_CHUNK = (b"cICP", bytes((12, 13, 0, 1)))
PQ_CHUNK = (b"cICP", bytes((9, 16, 0, 1)))
SRGB_CHUNK = (b"sRGB", b"\0")
LINEAR_CHUNK = (b"gAMA", struct.pack(">L", 100_000))
WIDE_CHUNK = (
    b"cHRM",
    struct.pack(">8L", 31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000),
)
P3_RED = (234, 51, 35)


def flat(
    samples: tuple[int, ...], *extra: tuple[bytes, bytes], depth: int = 8, kind: int = RGB, size: int = 48
) -> bytes:
    """Return a square picture of one colour."""
    if depth < 8:
        row = (bytes([samples[0] * (255 // (2**depth - 1))]) * size)[: -(-size * depth // 8)]
    else:
        row = struct.pack(">" + ("H" if depth == 16 else "B") * len(samples), *samples) * size
    return pictures.png(size, size, depth=depth, kind=kind, rows=(b"\0" + row) * size, extra=extra)


def profile_chunk(profile: bytes) -> tuple[bytes, bytes]:
    return (b"iCCP", b"p\0\0" + zlib.compress(profile))


@pytest.mark.parametrize(
    ("chunks", "is_converted"),
    [
        ([], False),
        ([SRGB_CHUNK, P3_CHUNK], True),
        ([profile_chunk(SRGB), P3_CHUNK], True),
        ([profile_chunk(SRGB), WIDE_CHUNK], False),
        ([SRGB_CHUNK, WIDE_CHUNK], False),
        ([WIDE_CHUNK], True),
        ([(b"iCCP", b"p\0\0broken"), WIDE_CHUNK], True),
        ([(b"cICP", b"\x0c\x0d\0"), SRGB_CHUNK], False),
        ([(b"cICP", b"\x0c\x0d\0"), profile_chunk(SRGB)], False),
    ],
)
@pytest.mark.parametrize("depth", [8, 16])
def test_the_first_of_cicp_profile_srgb_and_primaries_counts(
    chunks: list[tuple[bytes, bytes]], is_converted: bool, depth: int
) -> None:
    samples = tuple(value * 257 for value in P3_RED) if depth == 16 else P3_RED
    expected = (255, 0, 0) if is_converted else P3_RED
    assert colour_of(flat(samples, *chunks, depth=depth)) == pytest.approx(expected, abs=3)


def test_a_profile_is_not_applied_if_code_points_count() -> None:
    assert colour_of(flat((250, 10, 10), profile_chunk(SWAPPED), (b"cICP", bytes((1, 13, 0, 1)))))[0] == 250


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [
        (45_455, 128),
        (43_500, 128),
        (100_000, 188),
        (55_556, 146),
        (0, 128),
        (1, 128),
        (4_000_000_000, 128),
        (19_000, 128),
        (490_000, 240),
        (510_000, 128),
    ],
)
def test_gamma_counts_unless_it_is_that_of_srgb_or_a_mistake(gamma: int, expected: int) -> None:
    chunk = (b"gAMA", struct.pack(">L", gamma))
    assert colour_of(flat((128,) * 3, chunk)) == pytest.approx((expected,) * 3, abs=1)


@pytest.mark.parametrize("kind", [GREY, RGB, GREY_ALPHA, RGB_ALPHA])
@pytest.mark.parametrize(("value", "expected"), [(0, 0), (40, 2), (1000, 33), (65_535, 255), (14_155, 127)])
def test_dark_tones_of_linear_light_are_read_with_sixteen_bits(kind: int, value: int, expected: int) -> None:
    samples = (value,) * {GREY: 1, RGB: 3, GREY_ALPHA: 1, RGB_ALPHA: 3}[kind]
    samples += (65_535,) if kind in (GREY_ALPHA, RGB_ALPHA) else ()
    assert colour_of(flat(samples, LINEAR_CHUNK, depth=16, kind=kind)) == pytest.approx(
        (expected,) * 3, abs=1
    )


@pytest.mark.parametrize("kind", [GREY_ALPHA, RGB_ALPHA])
def test_alpha_is_not_changed_by_the_curve_of_the_colours(kind: int) -> None:
    samples = (0,) * (1 if kind == GREY_ALPHA else 3) + (32_768,)
    assert colour_of(flat(samples, LINEAR_CHUNK, depth=16, kind=kind)) == pytest.approx((127,) * 3, abs=1)


def test_a_picture_is_read_alike_with_eight_bits_of_srgb_and_sixteen_of_light() -> None:
    photo = pictures.photo(60, 60)
    light = np.rint(_linear(np.asarray(photo) / 255) * 65_535).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in light)
    assert difference(pictures.png(60, 60, depth=16, rows=rows, extra=[LINEAR_CHUNK]), photo) < 0.5


def _linear(codes: np.ndarray) -> np.ndarray:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("share", "expected"), [(0.58, 255), (0.38, 100), (1.0, 255), (0.0, 0)])
def test_hdr_is_shown_with_its_reference_white_as_white(depth: int, share: float, expected: int) -> None:
    value = round(share * (2**depth - 1))
    assert colour_of(flat((value,) * 3, PQ_CHUNK, depth=depth)) == pytest.approx((expected,) * 3, abs=3)


@pytest.mark.parametrize("depth", [8, 16])
def test_hybrid_log_gamma_is_read_at_both_depths(depth: int) -> None:
    value = round(0.38 * (2**depth - 1))
    chunk = (b"cICP", bytes((9, 18, 0, 1)))
    assert colour_of(flat((value,) * 3, chunk, depth=depth)) == pytest.approx((100,) * 3, abs=3)


@pytest.mark.parametrize("depth", [8, 16])
def test_the_range_of_video_is_widened(depth: int) -> None:
    chunk = (b"cICP", bytes((1, 13, 0, 0)))
    scale = 257 if depth == 16 else 1
    assert colour_of(flat((235 * scale,) * 3, chunk, depth=depth)) == (255, 255, 255)
    assert colour_of(flat((16 * scale,) * 3, chunk, depth=depth)) == (0, 0, 0)


def test_unknown_code_points_are_unsupported() -> None:
    assert rejection_of(flat((9, 9, 9), (b"cICP", bytes((10, 13, 0, 1))))).reason == "unsupported"


@pytest.mark.parametrize(
    "values",
    [
        (0,) * 8,
        (31_270, 0, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000),
        (31_270, 32_900, 68_000, 32_000, 68_000, 32_000, 15_000, 6_000),
        (31_270, 52_000, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000),
        (18_000, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000),
        (31_270, 32_900, 110_000, 32_000, 26_500, 69_000, 15_000, 6_000),
        (31_270, 32_900, 68_000, 32_000, 26_500, 110_000, 15_000, 6_000),
        (31_270, 32_900, 68_000, 0, 26_500, 69_000, 15_000, 6_000),
        (4_000_000_000,) * 8,
    ],
)
def test_primaries_that_make_no_colour_space_are_ignored(values: tuple[int, ...]) -> None:
    assert colour_of(flat(P3_RED, (b"cHRM", struct.pack(">8L", *values)))) == P3_RED


def test_a_palette_is_converted() -> None:
    extra = [P3_CHUNK, (b"PLTE", bytes(P3_RED))]
    assert colour_of(flat((0,), *extra, kind=PALETTE)) == pytest.approx((255, 0, 0), abs=3)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("kind", "samples"), [(GREY, (55,)), (GREY_ALPHA, (55, 255))])
def test_a_grey_profile_fits_grey_with_and_without_alpha(
    depth: int, kind: int, samples: tuple[int, ...]
) -> None:
    deep = tuple(value * 257 for value in samples) if depth == 16 else samples
    whole = flat(deep, profile_chunk(GREY_GAMMA_1), depth=depth, kind=kind)
    assert colour_of(whole) == pytest.approx((127,) * 3, abs=3)


def test_a_grey_profile_fits_grey_with_a_transparent_colour() -> None:
    whole = flat((55,), profile_chunk(GREY_GAMMA_1), (b"tRNS", b"\0\x09"), kind=GREY)
    assert colour_of(whole) == pytest.approx((127,) * 3, abs=3)


@pytest.mark.parametrize(("kind", "samples"), [(RGB, (99, 99, 99)), (GREY, (99,))])
def test_a_profile_for_other_colours_is_ignored(kind: int, samples: tuple[int, ...]) -> None:
    profile = GREY_GAMMA_1 if kind == RGB else SWAPPED
    assert colour_of(flat(samples, profile_chunk(profile), kind=kind)) == (99, 99, 99)


def key(*values: int) -> tuple[bytes, bytes]:
    return (b"tRNS", struct.pack(f">{len(values)}H", *values))


@pytest.mark.parametrize(
    ("depth", "kind", "samples", "transparent"),
    [
        (1, GREY, (1,), (1,)),
        (2, GREY, (2,), (2,)),
        (4, GREY, (5,), (5,)),
        (4, GREY, (5,), (0x35,)),
        (8, GREY, (77,), (77,)),
        (8, GREY, (77,), (0x0100 + 77,)),
        (16, GREY, (30_001,), (30_001,)),
        (8, RGB, (1, 2, 3), (1, 2, 3)),
        (16, RGB, (1, 2, 30_001), (1, 2, 30_001)),
    ],
)
def test_the_transparent_colour_is_paper(
    depth: int, kind: int, samples: tuple[int, ...], transparent: tuple[int, ...]
) -> None:
    assert colour_of(flat(samples, key(*transparent), depth=depth, kind=kind)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("depth", "kind", "samples", "transparent"),
    [
        (2, GREY, (2,), (1,)),
        (4, GREY, (5,), (6,)),
        (16, GREY, (30_001,), (30_000,)),
        (16, RGB, (257, 514, 30_001), (257, 514, 30_000)),
        (16, RGB, (257, 514, 30_001), (30_001, 514, 257)),
        (16, RGB, (257, 514, 30_001), (257, 514)),
    ],
)
def test_a_colour_that_differs_in_one_bit_stays(
    depth: int, kind: int, samples: tuple[int, ...], transparent: tuple[int, ...]
) -> None:
    whole = flat(samples, key(*transparent), depth=depth, kind=kind)
    assert colour_of(whole) == pytest.approx(colour_of(flat(samples, depth=depth, kind=kind)), abs=1)


def test_a_transparent_colour_and_linear_light_go_together() -> None:
    left = struct.pack(">3H", 14_155, 14_155, 14_155) * 24
    rows = (b"\0" + left + bytes(6 * 24)) * 48
    pixels = shown(pictures.png(48, 48, depth=16, rows=rows, extra=[LINEAR_CHUNK, key(0, 0, 0)]))
    assert tuple(pixels[18, 5]) == pytest.approx((127,) * 3, abs=1)
    assert tuple(pixels[18, 44]) == (255, 255, 255)


def test_a_palette_may_be_transparent() -> None:
    palette = (b"PLTE", bytes((9, 9, 9, 0, 200, 0)))
    assert colour_of(flat((0,), palette, (b"tRNS", b"\0"), kind=PALETTE)) == (255, 255, 255)
    assert colour_of(flat((1,), palette, (b"tRNS", b"\0"), kind=PALETTE)) == (0, 200, 0)


def test_a_picture_that_is_transparent_everywhere_is_paper() -> None:
    assert colour_of(flat((9, 99, 199, 0), kind=RGB_ALPHA)) == (255, 255, 255)


def test_an_interlaced_picture_of_sixteen_bits_is_read() -> None:
    photo = Image.new("RGB", (8, 8), (99, 9, 199))
    header = struct.pack(">IIBBBBB", 8, 8, 16, RGB, 0, 0, 1)
    row = struct.pack(">3H", *(value * 257 for value in (99, 9, 199)))
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    rows = b"".join((b"\0" + row * width) * height for width, height in passes)
    interlaced = (
        pictures.png(8, 8)[:8]
        + pictures.chunk(b"IHDR", header)
        + pictures.chunk(*key(1, 2, 3))
        + pictures.chunk(b"IDAT", zlib.compress(rows))
        + pictures.chunk(b"IEND", b"")
    )
    assert difference(interlaced, photo) == 0


@pytest.mark.parametrize(
    "chunk", [LINEAR_CHUNK, P3_CHUNK, WIDE_CHUNK, profile_chunk(SWAPPED), key(10 * 257, 128 * 257, 200 * 257)]
)
@pytest.mark.parametrize("depth", [8, 16])
def test_colours_behind_the_image_data_do_not_count(chunk: tuple[bytes, bytes], depth: int) -> None:
    whole = flat(tuple(value * 257 if depth == 16 else value for value in (10, 128, 200)), depth=depth)
    end_at = whole.index(b"IEND") - 4
    late = whole[:end_at] + pictures.chunk(*chunk) + whole[end_at:]
    assert colour_of(late) == (10, 128, 200)


def test_a_late_mark_of_srgb_does_not_count() -> None:
    whole = flat((128, 128, 128), LINEAR_CHUNK)
    end_at = whole.index(b"IEND") - 4
    assert colour_of(whole[:end_at] + pictures.chunk(*SRGB_CHUNK) + whole[end_at:]) == (188, 188, 188)


@pytest.mark.parametrize("strip_px", [48, 480])
@pytest.mark.parametrize("chunks", [(LINEAR_CHUNK,), (LINEAR_CHUNK, key(0, 0, 0))])
def test_sixteen_bits_are_read_in_strips_as_at_once(
    strip_px: int, chunks: tuple[tuple[bytes, bytes], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    light = np.rint(_linear(np.asarray(pictures.photo(48, 48)) / 255) * 65_535).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in light)
    whole = pictures.png(48, 48, depth=16, rows=rows, extra=chunks)
    at_once = shown(whole)
    monkeypatch.setattr(deep, "_STRIP_PX", strip_px)
    assert np.array_equal(shown(whole), at_once)


def test_the_first_of_two_chunks_of_one_kind_counts() -> None:
    gammas = [(b"gAMA", struct.pack(">L", gamma)) for gamma in (45_455, 100_000)]
    assert colour_of(flat((128, 128, 128), *gammas)) == (128, 128, 128)
