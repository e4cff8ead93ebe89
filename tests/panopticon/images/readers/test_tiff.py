"""TIFF: every layout gives the same picture, or is refused in words that help; never quietly another one."""

import io
import re
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import decode
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers.ifd.directories import directory_at
from panopticon.images.readers.tiff import by_pillow
from panopticon.images.readers.tiff import samples as samples_module
from panopticon.images.readers.tiff.layout import layout_of
from tests import pictures
from tests.panopticon.images.profiles import GREY_GAMMA_1, SWAPPED
from tests.panopticon.images.readers.tiff_files import (
    DEFLATE,
    LZW,
    NONE,
    PACKBITS,
    Order,
    Page,
    reversed_bits,
    tiff,
)
from tools.picture_matrix.tiff_file import lzw

SIDE_PX = 37
"""Neither whole tiles nor whole bytes of pixels."""
JPEG, OLD_JPEG = 7, 6
WHITE, BLACK, RGB, PALETTE, MASK, CMYK, YCBCR, LAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2

Pixels = NDArray[np.uint8]
Kind = tuple[dict[str, Any], NDArray[Any]]
"""Arguments of a page, and the picture that it shows."""

PHOTO: Pixels = np.asarray(pictures.photo(SIDE_PX, SIDE_PX))
GREY: Pixels = np.asarray(Image.fromarray(PHOTO).convert("L"))
ALPHA: Pixels = np.tile(np.linspace(0, 255, SIDE_PX).astype(np.uint8), (SIDE_PX, 1))


def decoded(encoded: bytes) -> NDArray[np.int64]:
    size = Input(width_px=SIDE_PX, height_px=SIDE_PX)
    return decode(encoded, input=size, preprocessing=Preprocessing()).pixels.astype(np.int64)


def off(encoded: bytes, expected: NDArray[Any]) -> float:
    """Return the mean difference from the expected picture, in levels of 255."""
    colours = expected if expected.ndim == 3 else expected[..., None]
    return float(np.abs(decoded(encoded) - colours).mean())


def refusal(encoded: bytes, *, max_pixels: int = 1_000_000) -> Rejected:
    size = Input(width_px=SIDE_PX, height_px=SIDE_PX)
    limits = DecodeLimits(max_pixels=max_pixels)
    with pytest.raises(Rejected) as raised:
        decode(encoded, input=size, preprocessing=Preprocessing(), limits=limits)
    return raised.value


def on_white(colours: NDArray[Any], alpha: Pixels = ALPHA) -> NDArray[Any]:
    share = alpha[..., None] / 255
    return (colours if colours.ndim == 3 else colours[..., None]) * share + 255 * (1 - share)


def whole_numbers(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Scale 0 to 255 to numbers of `bits` bits."""
    dtype = next(f"u{size}" for size in (1, 2, 4, 8) if bits <= 8 * size)
    if bits >= 32:
        return values.astype(dtype) * (((1 << bits) - 1) // 255)
    return np.rint(values * (((1 << bits) - 1) / 255)).astype(dtype)


def as_shown(numbers: NDArray[Any], bits: int) -> NDArray[Any]:
    return numbers.astype(np.float64) * 255 / ((1 << bits) - 1)


def kinds() -> dict[str, Kind]:
    """Return every kind of samples, with the picture that each shows."""
    found: dict[str, Kind] = {}
    for bits in (1, 2, 3, 4, 7, 8, 10, 12, 14, 16, 32, 64):
        grey, rgb = whole_numbers(GREY, bits), whole_numbers(PHOTO, bits)
        top = grey.dtype.type((1 << bits) - 1)
        found[f"grey{bits}"] = {"samples": grey, "bits": bits}, as_shown(grey, bits)
        found[f"white{bits}"] = (
            {"samples": top - grey, "bits": bits, "photometric": WHITE},
            as_shown(grey, bits),
        )
        found[f"rgb{bits}"] = {"samples": rgb, "bits": bits, "photometric": RGB}, as_shown(rgb, bits)
    for bits in (8, 16, 32, 64):
        signed = (whole_numbers(GREY, bits) >> np.uint64(1).astype(f"u{bits // 8}")).astype(f"i{bits // 8}")
        signed[4, 4] = -7
        found[f"signed{bits}"] = {"samples": signed}, GREY
    for bits in (16, 32, 64):
        floats = (PHOTO / 255).astype(f"f{bits // 8}")
        found[f"float{bits}"] = {"samples": floats, "photometric": RGB}, PHOTO
    ink = np.dstack([255 - PHOTO, np.zeros_like(GREY)])
    black = np.dstack([255 - GREY] * 4) * np.array([0, 0, 0, 1], dtype=np.uint8)
    for bits in (8, 16, 32):
        found[f"cmyk{bits}"] = {"samples": whole_numbers(ink, bits), "photometric": CMYK}, PHOTO
    found["black ink"] = {"samples": black, "photometric": CMYK}, GREY
    found |= _with_extra_samples(ink) | _palettes() | _labs()
    return found


def _with_extra_samples(ink: Pixels) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    clear, opaque = np.zeros_like(GREY), np.full_like(GREY, 255)
    shaded = np.rint(PHOTO * (ALPHA[..., None] / 255)).astype(np.uint8)
    shaded_grey = np.rint(GREY * (ALPHA / 255)).astype(np.uint8)
    thin = np.rint(ink * (ALPHA[..., None] / 255)).astype(np.uint8)
    for name, photometric, channels, extra, shown in (
        ("straight", RGB, [PHOTO, ALPHA], [STRAIGHT], on_white(PHOTO)),
        ("premultiplied", RGB, [shaded, ALPHA], [PREMULTIPLIED], on_white(PHOTO)),
        ("opaque", RGB, [PHOTO, opaque], [STRAIGHT], PHOTO),
        ("clear", RGB, [PHOTO, clear], [STRAIGHT], PHOTO),
        ("clear premultiplied", RGB, [PHOTO, clear], [PREMULTIPLIED], PHOTO),
        ("unspecified", RGB, [PHOTO, ALPHA], [UNSPECIFIED], PHOTO),
        ("clear unspecified", RGB, [PHOTO, clear], [UNSPECIFIED], PHOTO),
        ("undeclared", RGB, [PHOTO, ALPHA], None, on_white(PHOTO)),
        ("clear undeclared", RGB, [PHOTO, clear], None, PHOTO),
        ("two undeclared", RGB, [PHOTO, ALPHA, ALPHA], None, PHOTO),
        ("two unspecified", RGB, [PHOTO, clear, ALPHA], [UNSPECIFIED] * 2, PHOTO),
        ("alpha after another", RGB, [PHOTO, clear, ALPHA], [UNSPECIFIED, STRAIGHT], on_white(PHOTO)),
        ("nine more", RGB, [PHOTO, *[clear] * 9], [UNSPECIFIED] * 9, PHOTO),
        ("unknown", RGB, [PHOTO, ALPHA], [7], PHOTO),
        ("Corel", RGB, [PHOTO, ALPHA], [999], on_white(PHOTO)),
        ("grey", BLACK, [GREY, ALPHA], [STRAIGHT], on_white(GREY)),
        ("grey premultiplied", BLACK, [shaded_grey, ALPHA], [PREMULTIPLIED], on_white(GREY)),
        ("grey clear premultiplied", BLACK, [GREY, clear], [PREMULTIPLIED], GREY),
        ("grey undeclared", BLACK, [GREY, ALPHA], None, on_white(GREY)),
        ("grey clear", BLACK, [GREY, clear], [STRAIGHT], GREY),
        ("grey unspecified", BLACK, [GREY, clear], [UNSPECIFIED], GREY),
        ("white", WHITE, [255 - GREY, ALPHA], [STRAIGHT], on_white(GREY)),
        ("ink", CMYK, [ink, ALPHA], [STRAIGHT], on_white(PHOTO)),
        ("ink premultiplied", CMYK, [thin, ALPHA], [PREMULTIPLIED], on_white(PHOTO)),
        ("ink clear", CMYK, [ink, clear], [STRAIGHT], PHOTO),
        ("spot colour", CMYK, [ink, ALPHA], None, PHOTO),
    ):
        for bits in (8, 16):
            page = {"samples": whole_numbers(np.dstack(channels), bits), "photometric": photometric}
            found[f"{name} {bits}"] = {**page, "tags": {338: extra}}, shown
    floats = (np.dstack([PHOTO, ALPHA]) / 255).astype(np.float32)
    found["straight float"] = (
        {"samples": floats, "photometric": RGB, "tags": {338: [STRAIGHT]}},
        on_white(PHOTO),
    )
    return found


def _palettes() -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for bits, unit in ((1, 257), (2, 257), (4, 257), (8, 257), (8, 1), (16, 257)):
        reduced = Image.fromarray(PHOTO).quantize(min(200, 1 << bits), dither=Image.Dither.NONE)
        colours = np.zeros((1 << bits, 3), dtype=np.int64)
        used = np.array(reduced.getpalette()).reshape(-1, 3)[: 1 << bits]
        colours[: len(used)] = used
        index = np.asarray(reduced).astype("u2" if bits == 16 else "u1")
        tags = {320: (colours * unit).T.ravel().tolist()}
        page = {"bits": bits, "photometric": PALETTE}
        found[f"palette{bits} of {unit}"] = {**page, "samples": index, "tags": tags}, colours[index]
        if bits == 8:
            both = {**page, "samples": np.dstack([index, ALPHA]), "tags": {**tags, 338: [STRAIGHT]}}
            found[f"palette of {unit} with alpha"] = both, on_white(colours[index])
    return found


def _labs() -> dict[str, Kind]:
    # Pillow's mode has L of 0 to 255, and a and b plus 128.
    lab = np.dstack([np.asarray(band) for band in Image.new("LAB", (SIDE_PX, SIDE_PX)).split()])
    lab[..., 0] = GREY
    lab[..., 1:] = 128
    lab[9:20, 9:20] = (150, 170, 90)
    bands = [Image.fromarray(np.ascontiguousarray(lab[..., at])) for at in range(3)]
    shown = np.asarray(Image.merge("LAB", bands).convert("RGB"))
    offset16 = lab.astype(np.uint16) * np.array([257, 256, 256], dtype=np.uint16)
    return {
        "icclab8": ({"samples": lab, "photometric": ICCLAB}, shown),
        "cielab8": ({"samples": lab ^ np.array([0, 128, 128], np.uint8), "photometric": LAB}, shown),
        "icclab16": ({"samples": offset16, "photometric": ICCLAB}, shown),
        "cielab16": (
            {"samples": offset16 ^ np.array([0, 32768, 32768], np.uint16), "photometric": LAB},
            shown,
        ),
        "cielab, a and b marked as signed": (
            {
                "samples": lab ^ np.array([0, 128, 128], np.uint8),
                "photometric": LAB,
                "tags": {339: [1, 2, 2]},
            },
            shown,
        ),
    }


KINDS = kinds()
ORDERS: tuple[Order, Order] = ("<", ">")
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rows": 10},
    "tiles": {"tile_px": 16},
    "planes": {"planar": True},
    "strips of planes": {"planar": True, "rows": 10},
    "tiles of planes": {"planar": True, "tile_px": 16, "compression": DEFLATE},
    "LZW": {"rows": 10, "compression": LZW},
    "deflate": {"compression": DEFLATE},
    "PackBits": {"rows": 1, "compression": PACKBITS},
    "LZW tiles": {"tile_px": 16, "compression": LZW},
    "reversed bits": {"rows": 10, "fill_order": 2},
    "reversed bits in LZW": {"compression": LZW, "fill_order": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_right_in_every_layout(kind: str) -> None:
    page, shown = KINDS[kind]
    wrong = []
    for number, (name, layout) in enumerate(LAYOUTS.items()):
        for big, order in zip((False, True), ORDERS if number % 2 else ORDERS[::-1], strict=True):
            difference = off(tiff(Page(**page, **layout), order=order, big=big), shown)
            if difference >= 2:
                wrong.append((name, order, big, difference))
    assert not wrong


@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("layout", [{"rows": 10}, {"tile_px": 16}, {"planar": True}], ids=str)
@pytest.mark.parametrize("compression", [LZW, DEFLATE])
@pytest.mark.parametrize(
    ("kind", "predictor"),
    [
        *((f"{name}{bits}", 2) for name in ("grey", "rgb") for bits in (8, 16, 32, 64)),
        ("signed16", 2),
        ("float32", 2),
        ("cmyk16", 2),
        ("straight 16", 2),
        ("float16", 3),
        ("float32", 3),
        ("float64", 3),
        ("straight float", 3),
    ],
)
def test_differences_are_added_up(
    kind: str, predictor: int, compression: int, layout: dict[str, Any], order: Order
) -> None:
    page, shown = KINDS[kind]
    encoded = tiff(Page(**page, **layout, compression=compression, predictor=predictor), order=order)
    assert off(encoded, shown) < 2


@pytest.mark.parametrize("kind", ["grey16", "rgb12", "float32", "premultiplied 16", "rgb32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bands_of_any_size_give_the_same_picture(
    kind: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, _ = KINDS[kind]
    encoded = tiff(Page(**page, **LAYOUTS[layout]))
    at_once = decoded(encoded)
    monkeypatch.setattr(samples_module, "_BAND_SAMPLES", 300)
    assert np.array_equal(decoded(encoded), at_once)


@pytest.mark.parametrize("layout", ["one strip", "strips", "LZW", "planes"])
@pytest.mark.parametrize("kind", ["grey16", "rgb12"])
def test_bands_have_as_many_rows_as_are_allowed(
    kind: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, _ = KINDS[kind]
    found = layout_of(directory_at(encoded := tiff(Page(**page, **LAYOUTS[layout]))))
    monkeypatch.setattr(samples_module, "_BAND_SAMPLES", 300)
    bands = list(samples_module.bands_of(encoded, found, range(found.samples), max_bytes=10**6))
    row = SIDE_PX * (1 if found.planar else found.samples)
    assert max(map(len, bands)) == 300 // row
    assert sum(map(len, bands)) == SIDE_PX


@pytest.mark.parametrize(
    "kind",
    [
        *(f"{name}{bits}" for name in ("grey", "white") for bits in (1, 2, 4, 8)),
        *(f"palette{bits} of 257" for bits in (1, 2, 4, 8)),
        *(
            "rgb8",
            "rgb16",
            "cmyk8",
            "grey 8",
            "straight 8",
            "premultiplied 8",
            "unspecified 8",
            "undeclared 8",
        ),
    ],
)
@pytest.mark.parametrize("layout", ["strips", "tiles", "LZW"])
def test_usual_pictures_are_not_unpacked_to_numbers(kind: str, layout: str) -> None:
    """Those take several times the memory of the picture."""
    page = directory_at(tiff(Page(**KINDS[kind][0], **LAYOUTS[layout])))
    assert by_pillow.can_read(page, layout_of(page))


def test_a_usual_picture_may_lack_its_number_of_samples() -> None:
    page = directory_at(tiff(Page(samples=GREY, tags={277: None})))
    assert by_pillow.can_read(page, layout_of(page))


@pytest.mark.parametrize("kind", ["rgb8", "grey8", "cmyk8", "grey 8"])
def test_usual_pictures_in_planes_are_not_unpacked_to_numbers_where_pillow_reads_them(kind: str) -> None:
    page = directory_at(tiff(Page(**KINDS[kind][0], planar=True)))
    assert by_pillow.can_read(page, layout_of(page)) == (kind in ("rgb8", "cmyk8"))


@pytest.mark.parametrize(
    "compression", ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd"]
)
@pytest.mark.parametrize("depth", ["L", "I;16"])
def test_every_compression_without_loss_is_read(compression: str, depth: str) -> None:
    deep = Image.fromarray(GREY if depth == "L" else GREY.astype(np.uint16) * 257)
    assert off(pictures.encoded(deep, "TIFF", compression=compression), GREY) < 1


def test_the_fractions_of_lab_are_rounded() -> None:
    ab = np.full((SIDE_PX, SIDE_PX, 2), (140 << 8) + 200, dtype=np.uint16)
    lab = np.dstack([GREY.astype(np.uint16) * 257, ab])
    up, down = (
        tiff(Page(samples=np.dstack([GREY, np.full_like(ab, value)]).astype(np.uint8), photometric=ICCLAB))
        for value in (141, 140)
    )
    deep = tiff(Page(samples=lab, photometric=ICCLAB))
    assert np.array_equal(decoded(deep), decoded(up))
    assert not np.array_equal(decoded(deep), decoded(down))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("largest", "level"), [(255, 255), (256, 1)])
def test_a_palette_has_eight_bits_if_no_value_has_more(largest: int, level: int, bits: int) -> None:
    index = np.zeros((SIDE_PX, SIDE_PX), dtype=f"u{bits // 8}")
    page = Page(samples=index, photometric=PALETTE, tags={320: [largest] * (3 << bits)})
    assert (decoded(tiff(page)) == level).all()


@pytest.mark.parametrize("odd", [4.0, 300.0, -3.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("photometric", [BLACK, RGB])
def test_a_float_outside_the_range_changes_its_own_pixel_only(photometric: int, odd: float) -> None:
    shown = GREY if photometric == BLACK else PHOTO
    samples = (shown / 255).astype(np.float32)
    samples[20, 21] = odd
    assert off(tiff(Page(samples=samples, photometric=photometric)), shown) < 1


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_may_range_to_any_usual_white(white: float) -> None:
    assert off(tiff(Page(samples=(GREY * (white / 255)).astype(np.float32))), GREY) < 1


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_of_which_zero_is_white_are_inverted(white: float) -> None:
    inverted = ((255 - GREY) * (white / 255)).astype(np.float32)
    assert off(tiff(Page(samples=inverted, photometric=WHITE)), GREY) < 1


def test_the_bright_parts_of_an_hdr_picture_become_white() -> None:
    light, shown = (PHOTO / 255).astype(np.float32), PHOTO.copy()
    light[:8], shown[:8] = 7.0, 255
    assert off(tiff(Page(samples=light, photometric=RGB)), shown) < 1


@pytest.mark.parametrize(("dtype", "unit"), [("u4", 1), ("u4", 257), ("i4", 1), ("i4", 257)])
def test_fewer_bits_in_thirty_two_are_as_bright_as_they_look(dtype: str, unit: int) -> None:
    assert off(tiff(Page(samples=GREY.astype(dtype) * unit)), GREY) < 1


UNSUPPORTED: dict[str, tuple[Page, str]] = {
    "depths": (
        Page(samples=PHOTO, photometric=RGB, tags={258: [5, 6, 5]}),
        "channels of different depths (5, 6, 5",
    ),
    "24 bits": (Page(samples=PHOTO, tags={258: 24, 277: 1}), "24-bit grey pixels"),
    "no bits": (Page(samples=GREY, tags={258: 0}), "0-bit grey pixels"),
    "complex": (Page(samples=np.zeros((9, 9), np.uint64), tags={339: 5}), "complex numbers"),
    "kinds": (Page(samples=PHOTO, photometric=RGB, tags={339: [1, 2, 1]}), "channels of different kinds"),
    "float16 Lab": (Page(samples=PHOTO.astype(np.float32), photometric=LAB), "32-bit floating-point Lab"),
    "Lab with alpha": (
        Page(samples=np.dstack([PHOTO, ALPHA]), photometric=LAB, tags={338: STRAIGHT}),
        "8-bit Lab pixels",
    ),
    "16-bit YCbCr": (Page(samples=PHOTO.astype(np.uint16), photometric=YCBCR), "16-bit YCbCr"),
    "reversed YCbCr": (
        Page(samples=PHOTO, photometric=YCBCR, fill_order=2, tags={530: [1, 1]}),
        "8-bit YCbCr pixels",
    ),
    "unknown subsampling": (Page(samples=PHOTO, photometric=YCBCR), "YCbCr pixels of unknown subsampling"),
    "mask": (Page(samples=GREY, photometric=MASK), "only a transparency mask"),
    "LogLuv": (Page(samples=PHOTO, photometric=32845), "LogLuv colours"),
    "unknown": (Page(samples=GREY, photometric=99), "colours of an unknown kind (99)"),
    "inks": (
        Page(samples=np.dstack([PHOTO, ALPHA]), photometric=CMYK, tags={332: 2}),
        "inks other than cyan",
    ),
    "JPEG 2000": (Page(samples=GREY, compression=34712, blocks=[b"x"]), "JPEG 2000 compression"),
    "WebP": (Page(samples=GREY, compression=50001, blocks=[b"x"]), "WebP compression"),
    "JPEG XR": (Page(samples=GREY, tags={0xBC01: 1}), "JPEG XR compression"),
    "compression": (Page(samples=GREY, compression=77, blocks=[b"x"]), "compression 77"),
    "grey fax": (Page(samples=GREY, compression=4, blocks=[b"x"]), "8-bit grey pixels in fax compression"),
    "12-bit JPEG": (
        Page(samples=GREY.astype(np.uint16), bits=12, compression=JPEG, blocks=[b"x"]),
        "12-bit grey pixels in JPEG compression",
    ),
    "old JPEG": (
        Page(samples=PHOTO, photometric=YCBCR, compression=OLD_JPEG, blocks=[b"x"]),
        "old-style JPEG compression",
    ),
    "differences": (
        Page(samples=GREY >> 4, bits=4, compression=LZW, tags={317: 2}),
        "4-bit grey pixels stored as differences",
    ),
    "float range": (
        Page(samples=GREY.astype(np.float32) * 16),
        "range is none of 0 to 1, 0 to 255, 0 to 65535",
    ),
    "range": (
        Page(samples=GREY.astype(np.uint32) * 16),
        "range is none of 0 to 255, 0 to 65535, 0 to 4294967295",
    ),
    "negative": (
        Page(samples=GREY.astype(np.int16) - 128),
        "16-bit signed grey pixels, many of them negative",
    ),
    "negative floats": (Page(samples=(GREY / 128 - 1).astype(np.float32)), "many of them negative"),
}


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ((9, 10, 34661), "JBIG"),
        ((32766,), "NeXT"),
        ((32809,), "ThunderScan"),
        ((33003, 33004, 33005, 34712), "JPEG 2000"),
        ((34676, 34677), "SGI LogLuv"),
        ((34887,), "LERC"),
        ((34933,), "PNG"),
        ((34934,), "JPEG XR"),
        ((50001,), "WebP"),
        ((50002, 52546), "JPEG XL"),
    ],
)
def test_a_compression_that_is_not_decoded_is_named(numbers: tuple[int, ...], name: str) -> None:
    for number in numbers:
        error = refusal(tiff(Page(samples=GREY, compression=number, blocks=[b"x"])))
        assert error.detail.startswith(f"a TIFF with {name} compression is not supported")


@pytest.mark.parametrize(
    ("compression", "name"),
    [
        *((fax, "fax") for fax in (2, 3, 4)),
        (LZW, "LZW"),
        (DEFLATE, "ZIP"),
        (32946, "ZIP"),
        (PACKBITS, "PackBits"),
        (34925, "LZMA"),
        (50000, "Zstandard"),
    ],
)
def test_the_compression_of_pixels_that_are_not_decoded_is_named(compression: int, name: str) -> None:
    page = Page(samples=PHOTO.astype(np.float32), photometric=LAB, compression=compression, blocks=[b"x"])
    assert f"a TIFF with 32-bit floating-point Lab pixels in {name} compression" in refusal(tiff(page)).detail


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (4, "only a transparency mask"),
        (10, "ITU Lab colours"),
        (32844, "LogL brightness"),
        (32845, "LogLuv colours"),
    ],
)
def test_colours_that_are_not_decoded_are_named(number: int, name: str) -> None:
    error = refusal(tiff(Page(samples=PHOTO, photometric=number)))
    assert error.detail.startswith(f"a TIFF with {name} is not supported")


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_other_variants_are_refused_in_plain_words(name: str) -> None:
    page, words = UNSUPPORTED[name]
    error = refusal(tiff(page))
    assert error.reason == "unsupported"
    assert words in error.detail
    assert error.detail.endswith("is not supported; export it as an 8-bit or 16-bit RGB TIFF, or as JPEG")


DAMAGED: dict[str, tuple[Page, str, str]] = {
    "past the end": (Page(samples=GREY, tags={273: 99_999}), "truncated", "bytes after the end of the file"),
    "size": (
        Page(samples=GREY, compression=LZW, tags={279: 99_999}),
        "truncated",
        "after the end of the file",
    ),
    "no offset": (Page(samples=GREY, tags={273: 0}), "corrupt", "no data for some of its strips"),
    "no size": (
        Page(samples=GREY, compression=LZW, tags={279: 0}),
        "corrupt",
        "no data for some of its strips",
    ),
    "strips": (Page(samples=GREY, rows=5, tags={278: 3}), "corrupt", "8 of 13 strips or tiles"),
    "no strips": (Page(samples=GREY, tags={273: None}), "corrupt", "0 of 1 strips or tiles"),
    "overlap": (
        Page(samples=GREY, rows=9, compression=LZW, tags={273: [8] * 5, 279: [1000] * 5}),
        "corrupt",
        "overlap",
    ),
    "rows": (Page(samples=GREY, tags={278: 0}), "corrupt", "strips or tiles of 37 x 0 pixels"),
    "tiles": (Page(samples=GREY, tile_px=16, tags={322: 0}), "corrupt", "strips or tiles of 0 x 16 pixels"),
    "width": (Page(samples=GREY, tags={256: None}), "zero_size", "0 x 37 pixels"),
    "meaning": (Page(samples=GREY, tags={262: None}), "corrupt", "does not give the meaning"),
    "samples": (Page(samples=GREY, tags={277: 0}), "corrupt", "0 samples a pixel"),
    "depths": (Page(samples=PHOTO, photometric=RGB, tags={258: [8, 8]}), "corrupt", "the depth of 2"),
    "too few": (
        Page(samples=PHOTO[..., :2], photometric=RGB),
        "corrupt",
        "RGB of 2 samples a pixel, which takes 3",
    ),
    "palette": (Page(samples=GREY, photometric=PALETTE), "corrupt", "a palette of 0 values; 768 are needed"),
    "short palette": (
        Page(samples=GREY, photometric=PALETTE, tags={320: [999] * 700}),
        "corrupt",
        "a palette of 700 values",
    ),
    "predictor": (
        Page(samples=GREY, compression=LZW, tags={317: 3}),
        "corrupt",
        "predictor 3 for 8-bit grey",
    ),
    "no predictor": (Page(samples=GREY, compression=LZW, tags={317: 7}), "corrupt", "predictor 7"),
    "LZW": (Page(samples=GREY.astype(np.uint16), compression=LZW, blocks=[b"\xff" * 99]), "corrupt", ""),
    "deflate": (Page(samples=GREY.astype(np.uint16), compression=DEFLATE, blocks=[bytes(99)]), "corrupt", ""),
    "short deflate": (
        Page(samples=GREY.astype(np.uint16), compression=DEFLATE, blocks=[zlib.compress(bytes(99))]),
        "corrupt",
        "",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_refused_with_its_reason(name: str) -> None:
    page, reason, words = DAMAGED[name]
    error = refusal(tiff(page))
    assert error.reason == reason
    assert words in error.detail
    assert not re.search(r"Error|decoder error|Pillow|PIL|libtiff", error.detail)


def test_more_bytes_of_samples_than_a_picture_takes_are_too_costly() -> None:
    page = Page(samples=np.dstack([GREY.astype(np.uint64)] * 3), photometric=RGB)
    assert refusal(tiff(page), max_pixels=2 * SIDE_PX**2).reason == "too_costly"
    assert off(tiff(page), GREY) < 1


@pytest.mark.parametrize(("kind", "fits"), [("rgb16", True), ("unspecified 16", False)])
def test_three_samples_of_sixteen_bits_fit_at_the_limit_on_pixels(kind: str, fits: bool) -> None:
    page, shown = KINDS[kind]
    encoded = tiff(Page(**page, fill_order=2))
    size = Input(width_px=SIDE_PX, height_px=SIDE_PX)
    limits = DecodeLimits(max_pixels=SIDE_PX**2)
    if fits:
        pixels = decode(encoded, input=size, preprocessing=Preprocessing(), limits=limits).pixels
        assert np.abs(pixels - shown).mean() < 1
    else:
        assert refusal(encoded, max_pixels=SIDE_PX**2).reason == "too_costly"


@pytest.mark.parametrize(("height_px", "reason"), [(4096, "truncated"), (4097, "too_costly")])
def test_tiles_far_larger_than_the_picture_are_too_costly(height_px: int, reason: str) -> None:
    page = Page(samples=GREY, tile_px=16, tags={322: 4096, 323: height_px})
    assert refusal(tiff(page)).reason == reason


def test_a_strip_may_end_with_the_file() -> None:
    file_bytes = len(tiff(Page(samples=GREY)))
    last_at = file_bytes - GREY.size
    assert decoded(tiff(Page(samples=GREY, tags={273: last_at}))).shape == (SIDE_PX, SIDE_PX, 3)
    error = refusal(tiff(Page(samples=GREY, tags={273: last_at + 1})))
    assert (error.reason, "ends 1 bytes after the end of the file" in error.detail) == ("truncated", True)


def test_too_many_strips_are_too_costly() -> None:
    assert refusal(
        tiff(Page(samples=np.zeros((1_100_000, 1), np.uint8), tags={278: 1})), max_pixels=2**21
    ).reason == ("too_costly")


def test_a_deflate_strip_is_unpacked_no_further_than_the_picture_needs() -> None:
    bomb = zlib.compress(np.repeat(GREY.astype(np.uint16) * 257, 2000, axis=0).tobytes())
    top = np.repeat(GREY[:1], SIDE_PX, axis=0)
    encoded = tiff(Page(samples=GREY.astype(np.uint16), compression=DEFLATE, blocks=[bomb]))
    assert off(encoded, top) < 1


LENIENT: dict[str, tuple[Page, NDArray[Any]]] = {
    "no sizes": (Page(samples=GREY, tags={279: None}), GREY),
    "no sizes, LZW": (Page(samples=GREY.astype(np.uint16) * 257, compression=LZW, tags={279: None}), GREY),
    "sizes of zero": (Page(samples=GREY, tags={279: 0}), GREY),
    "no rows": (Page(samples=GREY, tags={278: None}), GREY),
    "endless rows": (Page(samples=GREY, tags={278: 2**32 - 1}), GREY),
    "no meaning of RGB": (Page(samples=PHOTO, photometric=RGB, tags={262: None}), PHOTO),
    "no number of samples": (Page(samples=PHOTO, photometric=RGB, tags={277: None}), PHOTO),
    "one depth for all": (Page(samples=PHOTO, photometric=RGB, tags={258: 8}), PHOTO),
    "too many depths": (Page(samples=PHOTO, photometric=RGB, tags={258: [8] * 5}), PHOTO),
    "one kind for all": (
        Page(samples=(PHOTO / 255).astype(np.float32), photometric=RGB, tags={339: 3}),
        PHOTO,
    ),
    "no kind": (Page(samples=PHOTO, photometric=RGB, tags={339: None}), PHOTO),
    "undefined kind": (Page(samples=PHOTO, photometric=RGB, tags={339: [4] * 3}), PHOTO),
    "planes of one sample": (Page(samples=GREY, planar=True), GREY),
    "predictor without need": (Page(samples=GREY, compression=PACKBITS, tags={317: 2}), GREY),
    "tiles in strips' tags": (
        Page(
            samples=GREY,
            tile_px=16,
            tags={324: None, 325: None, 273: [8 + 256 * at for at in range(9)], 279: [256] * 9},
        ),
        GREY,
    ),
}


@pytest.mark.parametrize("name", LENIENT)
def test_a_directory_that_can_be_understood_is_read(name: str) -> None:
    page, shown = LENIENT[name]
    assert off(tiff(page), shown) < 1


def _jpeg(pixels: Pixels, **options: Any) -> bytes:
    mode = "CMYK" if pixels.shape[2:] == (4,) else None
    image = Image.fromarray(pixels)
    if mode:
        image = Image.frombytes(mode, image.size, pixels.tobytes())
    return pictures.encoded(image, "JPEG", **{"quality": 98, "subsampling": 0, **options})


def _jpeg_pages() -> dict[str, tuple[Page, NDArray[Any]]]:
    ink = np.dstack([255 - PHOTO, np.zeros_like(GREY)])
    common: dict[str, Any] = {"compression": JPEG}
    padded = np.pad(PHOTO, ((0, 11), (0, 11), (0, 0)), mode="edge")
    tiles = [padded[top : top + 16, left : left + 16] for top in (0, 16, 32) for left in (0, 16, 32)]
    planes = [_jpeg(np.ascontiguousarray(PHOTO[..., at])) for at in range(3)]
    # Pillow writes CMYK inverted, as Adobe does in JPEG files; in TIFF, 0 is no ink.
    inverted = _jpeg(255 - ink)
    clear = np.dstack([PHOTO, np.zeros_like(GREY)])
    return {
        "grey": (Page(samples=GREY, blocks=[_jpeg(GREY)], **common), GREY),
        "white": (Page(samples=GREY, photometric=WHITE, blocks=[_jpeg(255 - GREY)], **common), GREY),
        "rgb": (Page(samples=PHOTO, photometric=RGB, blocks=[_jpeg(PHOTO, keep_rgb=True)], **common), PHOTO),
        "ycbcr": (Page(samples=PHOTO, photometric=YCBCR, blocks=[_jpeg(PHOTO)], **common), PHOTO),
        "subsampled": (
            Page(samples=PHOTO, photometric=YCBCR, blocks=[_jpeg(PHOTO, subsampling=2)], **common),
            PHOTO,
        ),
        "progressive": (
            Page(samples=PHOTO, photometric=YCBCR, blocks=[_jpeg(PHOTO, progressive=True)], **common),
            PHOTO,
        ),
        "cmyk": (Page(samples=ink, photometric=CMYK, blocks=[inverted], **common), PHOTO),
        "planes": (Page(samples=PHOTO, photometric=RGB, planar=True, blocks=planes, **common), PHOTO),
        "strips": (
            Page(
                samples=PHOTO,
                photometric=YCBCR,
                rows=16,
                blocks=[_jpeg(PHOTO[at : at + 16]) for at in (0, 16, 32)],
                **common,
            ),
            PHOTO,
        ),
        "tiles": (
            Page(
                samples=PHOTO, photometric=YCBCR, tile_px=16, blocks=[_jpeg(tile) for tile in tiles], **common
            ),
            PHOTO,
        ),
        "tiles cut to the page": (
            Page(
                samples=PHOTO,
                photometric=YCBCR,
                tile_px=16,
                blocks=[_jpeg(tile[: SIDE_PX - 16 * (at // 3)]) for at, tile in enumerate(tiles)],
                **common,
            ),
            PHOTO,
        ),
        "strips of planes": (
            Page(
                samples=PHOTO,
                photometric=RGB,
                planar=True,
                rows=16,
                blocks=[
                    _jpeg(np.ascontiguousarray(PHOTO[top : top + 16, :, at]))
                    for at in range(3)
                    for top in (0, 16, 32)
                ],
                **common,
            ),
            PHOTO,
        ),
        "clear alpha": (
            Page(samples=clear, photometric=RGB, tags={338: STRAIGHT}, blocks=[_jpeg(255 - clear)], **common),
            PHOTO,
        ),
        "padded": (Page(samples=GREY, blocks=[_jpeg(GREY) + bytes(3)], **common), GREY),
        "much padded": (Page(samples=GREY, blocks=[_jpeg(GREY) + bytes(62)], **common), GREY),
    }


JPEGS = _jpeg_pages()


@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_inside_is_decoded(name: str, order: Order) -> None:
    page, shown = JPEGS[name]
    assert off(tiff(page, order=order), shown) < 4


def test_a_jpeg_inside_that_lacks_its_end_is_truncated() -> None:
    half = _jpeg(PHOTO)[:900]
    assert (
        refusal(tiff(Page(samples=PHOTO, photometric=YCBCR, compression=JPEG, blocks=[half]))).reason
        == "truncated"
    )


@pytest.mark.parametrize("size_px", [(37, 20), (20, 37)])
def test_a_jpeg_inside_that_is_too_small_is_corrupt(size_px: tuple[int, int]) -> None:
    small = _jpeg(np.asarray(pictures.photo(*size_px)))
    error = refusal(tiff(Page(samples=PHOTO, photometric=YCBCR, compression=JPEG, blocks=[small])))
    assert error.reason == "corrupt"
    assert f"a JPEG of {size_px[0]} x {size_px[1]} pixels" in error.detail


@pytest.mark.parametrize("short_px", [15, 4])
def test_a_strip_of_jpeg_that_is_too_short_is_corrupt(short_px: int) -> None:
    heights_px = [16, 16, 5]
    heights_px[2 if short_px == 4 else 1] = short_px
    strips = [_jpeg(PHOTO[at : at + rows]) for at, rows in zip((0, 16, 32), heights_px, strict=True)]
    page = Page(samples=PHOTO, photometric=YCBCR, compression=JPEG, rows=16, blocks=strips)
    error = refusal(tiff(page))
    assert error.reason == "corrupt"
    assert f"a JPEG of 37 x {short_px} pixels" in error.detail


def test_a_jpeg_inside_of_many_scans_is_too_costly() -> None:
    page = Page(samples=np.zeros((2048, 2048), np.uint8), compression=JPEG, blocks=[pictures.many_scans(400)])
    assert refusal(tiff(page), max_pixels=2**22).reason == "too_costly"


@pytest.mark.parametrize("orientation", [1, 3])
def test_an_old_style_jpeg_is_read_from_the_whole_file_inside(orientation: int) -> None:
    whole = _jpeg(PHOTO)
    tags = {513: 8, 514: len(whole), 274: orientation}
    page = Page(samples=PHOTO, photometric=YCBCR, compression=OLD_JPEG, blocks=[whole], tags=tags)
    assert off(tiff(page), PHOTO if orientation == 1 else PHOTO[::-1, ::-1]) < 4


def test_an_old_style_jpeg_may_lack_its_size() -> None:
    page = Page(samples=PHOTO, photometric=YCBCR, compression=OLD_JPEG, blocks=[_jpeg(PHOTO)], tags={513: 8})
    assert off(tiff(page), PHOTO) < 4


@pytest.mark.parametrize("tags", [{513: 9}, {513: 8, 514: 2}, {514: 999}], ids=str)
def test_an_old_style_jpeg_without_a_whole_file_inside_is_unsupported(tags: dict[int, int]) -> None:
    whole = _jpeg(PHOTO)
    page = Page(samples=PHOTO, photometric=YCBCR, compression=OLD_JPEG, blocks=[whole], tags=tags)
    assert refusal(tiff(page)).reason == "unsupported"


def test_an_old_style_jpeg_of_another_size_is_unsupported() -> None:
    whole = _jpeg(PHOTO)
    tags = {513: 8, 514: len(whole)}
    page = Page(samples=PHOTO[:20], photometric=YCBCR, compression=OLD_JPEG, blocks=[whole], tags=tags)
    assert refusal(tiff(page)).reason == "unsupported"


@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("compression", [NONE, LZW])
def test_ycbcr_is_decoded_with_any_subsampling(
    across: int, down: int, compression: int, order: Order
) -> None:
    smooth = np.asarray(pictures.photo(4, 4).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    ycbcr = np.asarray(Image.fromarray(smooth).convert("YCbCr")).astype(np.float64)
    padded = np.pad(ycbcr, ((0, -SIDE_PX % down), (0, -SIDE_PX % across), (0, 0)), mode="edge")
    units = padded.reshape(len(padded) // down, down, -1, across, 3).swapaxes(1, 2)
    luma = units[..., 0].reshape(*units.shape[:2], down * across)
    data = np.rint(np.concatenate([luma, units[..., 1:].mean(axis=(2, 3))], axis=-1)).astype(np.uint8)
    blocks = [lzw(data.tobytes()) if compression == LZW else data.tobytes()]
    page = Page(
        samples=smooth, photometric=YCBCR, compression=compression, blocks=blocks, tags={530: [across, down]}
    )
    assert off(tiff(page, order=order), smooth) < 4


FAX = {"group3": 3, "group4": 4, "tiff_ccitt": 2}


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("photometric", [WHITE, BLACK, None])
@pytest.mark.parametrize("name", FAX)
def test_fax_is_black_on_white_in_both_polarities(
    name: str, photometric: int | None, fill_order: int
) -> None:
    bright = GREY > 127
    written = pictures.encoded(Image.fromarray(bright), "TIFF", compression=name)
    with Image.open(io.BytesIO(written)) as image:
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        assert tags[262] == BLACK
        strips = [written[at : at + size] for at, size in zip(tags[273], tags[279], strict=True)]
        rows = tags[278]
    if fill_order == 2:
        strips = [reversed_bits(strip) for strip in strips]
    page = Page(
        samples=bright.astype(np.uint8),
        bits=1,
        compression=FAX[name],
        fill_order=fill_order,
        rows=rows,
        blocks=strips,
        tags={262: photometric},
    )
    # Fax calls ink 1; without a tag, white is 0.
    shown = bright if photometric == BLACK else ~bright
    assert off(tiff(page), shown * 255) == 0


SMALL = Page(samples=np.asarray(pictures.photo(9, 9, seed=5)), photometric=RGB, tags={254: 1})
FULL = Page(samples=PHOTO, photometric=RGB)
DEEP = Page(samples=GREY.astype(np.uint16) * 257)
HOLE = Page(samples=(GREY > 9).astype(np.uint8), bits=1, photometric=MASK, tags={254: 4})


PAGES: dict[str, tuple[list[Page], Pixels]] = {
    "copy last": ([FULL, SMALL], PHOTO),
    "copy first": ([SMALL, FULL], PHOTO),
    "copies first": ([SMALL, SMALL, DEEP], GREY),
    "mask first": ([HOLE, FULL], PHOTO),
    "mask last": ([FULL, HOLE], PHOTO),
    "mask by its type": ([Page(samples=ALPHA, tags={254: 4}), FULL], PHOTO),
    "mask by its meaning": ([Page(samples=ALPHA, photometric=MASK), FULL], PHOTO),
    "document": ([DEEP, FULL], GREY),
    "old copy first": ([Page(samples=SMALL.samples, photometric=RGB, tags={255: 2}), FULL], PHOTO),
    "copy inside": ([Page(samples=PHOTO, photometric=RGB, inside=[SMALL])], PHOTO),
    "inside a copy": ([Page(samples=SMALL.samples, photometric=RGB, tags={254: 1}, inside=[FULL])], PHOTO),
    "copies only": ([SMALL, Page(samples=PHOTO, photometric=RGB, tags={254: 1}), SMALL], PHOTO),
    "mask and copy": ([HOLE, Page(samples=PHOTO, photometric=RGB, tags={254: 1})], PHOTO),
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_full_size_is_decoded(name: str, order: Order, big: bool) -> None:
    pages, shown = PAGES[name]
    encoded = tiff(*pages, order=order, big=big)
    assert off(encoded, shown) < 1
    size = Input(width_px=SIDE_PX, height_px=SIDE_PX)
    assert decode(encoded, input=size, preprocessing=Preprocessing()).width_px == SIDE_PX


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("copies", "found"), [(255, True), (256, False)])
def test_no_more_than_256_pages_are_looked_at(copies: int, found: bool, inside: bool) -> None:
    dot = Page(samples=SMALL.samples[:1, :1], photometric=RGB, tags={254: 1})
    others = [*[dot] * (copies - 1), FULL]
    first = Page(samples=SMALL.samples, photometric=RGB, tags={254: 1}, inside=others if inside else ())
    encoded = tiff(first) if inside else tiff(first, *others)
    assert (off(encoded, PHOTO) < 1) == found


def test_a_small_copy_of_sensor_data_is_not_taken_for_the_picture() -> None:
    raw = Page(samples=DEEP.samples, photometric=32803)
    inside = Page(samples=SMALL.samples, photometric=RGB, tags={254: 1}, inside=[raw])
    assert refusal(tiff(inside)).reason == "unsupported"


def test_a_chain_of_pages_that_is_cut_is_truncated() -> None:
    assert refusal(tiff(SMALL, FULL)[:-20]).reason == "truncated"


def test_a_chain_of_pages_that_returns_to_its_start_ends() -> None:
    looped = bytearray(tiff(SMALL))
    looped[-4:] = looped[4:8]
    assert decoded(bytes(looped)).shape == (SIDE_PX, SIDE_PX, 3)


def test_a_page_that_contains_itself_ends() -> None:
    once = tiff(Page(samples=SMALL.samples, photometric=RGB, tags={254: 1, 330: 8}))
    at = int.from_bytes(once[4:8], "little")
    again = tiff(Page(samples=SMALL.samples, photometric=RGB, tags={254: 1, 330: at}))
    assert decoded(again).shape == (SIDE_PX, SIDE_PX, 3)


def test_orientation_and_profile_are_those_of_the_decoded_page() -> None:
    small = Page(samples=SMALL.samples, photometric=RGB, tags={254: 1, 274: 6})
    turned = Page(samples=PHOTO, photometric=RGB, tags={274: 3, 34675: SWAPPED})
    plain = decoded(tiff(Page(samples=PHOTO, photometric=RGB, tags={34675: SWAPPED})))
    assert np.array_equal(decoded(tiff(small, turned)), plain[::-1, ::-1])
    assert off(tiff(small, turned), PHOTO[::-1, ::-1]) > 5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_orientation_is_upright_at_every_depth(orientation: int, dtype: Any) -> None:
    unit = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    page = Page(samples=(PHOTO * np.float64(unit)).astype(dtype), photometric=RGB, tags={274: orientation})
    upright = {
        1: PHOTO,
        2: PHOTO[:, ::-1],
        3: PHOTO[::-1, ::-1],
        4: PHOTO[::-1],
        5: PHOTO.swapaxes(0, 1),
        6: PHOTO[::-1].swapaxes(0, 1),
        7: PHOTO[::-1, ::-1].swapaxes(0, 1),
        8: PHOTO.swapaxes(0, 1)[::-1],
    }
    assert off(tiff(page), upright[orientation]) < 1


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    assert off(tiff(Page(samples=PHOTO, photometric=RGB, tags={274: orientation})), PHOTO) < 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [BLACK, WHITE])
def test_a_profile_is_applied_after_inversion_at_every_depth(photometric: int, bits: int) -> None:
    grey = whole_numbers(GREY, bits)
    stored = grey if photometric == BLACK else grey.dtype.type((1 << bits) - 1) - grey
    with_profile = tiff(Page(samples=stored, photometric=photometric, tags={34675: GREY_GAMMA_1}))
    reference = tiff(Page(samples=GREY, tags={34675: GREY_GAMMA_1}))
    assert np.abs(decoded(with_profile) - decoded(reference)).max() <= 1
    assert off(with_profile, GREY) > 10
