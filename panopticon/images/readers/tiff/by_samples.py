"""Making a picture of eight bits from samples of any depth and kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from panopticon.images.depth import to_eight_bits, white_of
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers.ifd import tags
from panopticon.images.readers.ifd.directories import Directory
from panopticon.images.readers.ifd.tags import Photometric, SampleFormat
from panopticon.images.readers.tiff.layout import Alpha, Layout, unsupported
from panopticon.images.readers.tiff.samples import Samples, bands_of
from panopticon.images.reasons import Reason, rejected

Bytes = NDArray[np.uint8]

_UNPACKED_BYTES_A_PIXEL = 6
"""The most of the largest image allowed: three samples of sixteen bits. A smaller one may have more."""
_MOST_NEGATIVE_SHARE = 0.1
"""Share of samples below zero up to which they count as noise or strong colours, and are clipped to black."""
_FLOAT_WHITES = (1.0, 255.0, 65535.0)
"""Values that are white in the pictures of different programs; the format does not define it for floats."""
_HDR_HIGHLIGHTS = 32.0
"""The most that the sky of an HDR picture may be, white being 1; a picture of 0 to 255 has brighter parts."""
_WHOLE_WHITES = (255.0, 65535.0)
"""Values that are white where a program stored eight or sixteen bits in thirty-two."""
_LAB = frozenset({Photometric.CIELAB, Photometric.ICCLAB})
_MODES = {
    Photometric.MIN_IS_WHITE: "L",
    Photometric.MIN_IS_BLACK: "L",
    Photometric.RGB: "RGB",
    Photometric.PALETTE: "RGB",
    Photometric.CMYK: "CMYK",
    Photometric.CIELAB: "LAB",
    Photometric.ICCLAB: "LAB",
}


def read(page: Directory, layout: Layout, limits: DecodeLimits) -> Image.Image:
    """Decode the page to mode L, LA, RGB, RGBA, CMYK or LAB.

    Raises: Rejected (`unsupported`, `too_costly`, `corrupt`, `truncated`).
    """
    _check(layout)
    wanted = [*range(layout.colours), *([layout.alpha_at] if layout.alpha is not Alpha.NONE else [])]
    max_bytes = _UNPACKED_BYTES_A_PIXEL * limits.max_pixels
    bands = bands_of(page.encoded, layout, wanted, max_bytes=max_bytes)
    if layout.photometric is Photometric.PALETTE:
        eight_bit = _by_palette(bands, page, layout)
    elif layout.photometric in _LAB:
        eight_bit = (_lab(band, layout) for band in bands)
    elif layout.bits > 16 or layout.sample_format is SampleFormat.FLOAT:
        eight_bit = _scaled(list(_as_floats(bands)), layout)
    else:
        eight_bit = _by_table(bands, layout)
    return _assembled(eight_bit, layout)


def _check(layout: Layout) -> None:
    readable = layout.photometric in _MODES
    if layout.photometric in _LAB:
        readable = (
            layout.sample_format is not SampleFormat.FLOAT
            and layout.bits in (8, 16)
            and layout.alpha is Alpha.NONE
        )
    elif layout.photometric is Photometric.PALETTE:
        readable = layout.sample_format is SampleFormat.UNSIGNED and layout.bits <= 16
    if not readable:
        raise unsupported(layout.packed_name)


def _by_table(bands: Iterable[Samples], layout: Layout) -> Iterator[Bytes]:
    """Convert whole numbers of up to sixteen bits; the largest of them is white.

    Raises: Rejected (`unsupported`) after the last band if many are negative.
    """
    count = 1 << layout.bits
    if layout.sample_format is SampleFormat.SIGNED:
        white = count // 2 - 1
        # A table is indexed by the bits of a number; those of negative ones follow those of the largest.
        values = np.concatenate([np.arange(white + 1), np.zeros(white + 1)])
    else:
        white = count - 1
        values = np.arange(count)
    table = to_eight_bits(values.astype(np.float64), white)
    inverted = 255 - table if layout.photometric is Photometric.MIN_IS_WHITE else table
    negative, total = 0, 0
    for band in bands:
        negative += int(np.count_nonzero(band < 0)) if layout.sample_format is SampleFormat.SIGNED else 0
        total += band.size
        indexes = band.view(f"u{band.dtype.itemsize}")
        yield _with_alpha(inverted[indexes[..., : layout.colours]], table[indexes[..., layout.colours :]])
    _check_negative(negative, total, layout)


def _as_floats(bands: Iterable[Samples]) -> Iterator[NDArray[np.float32]]:
    for band in bands:
        # Numbers beyond the range become infinite, which is white; some that are none raise a flag.
        with np.errstate(over="ignore", invalid="ignore"):
            yield band.astype(np.float32)


def _scaled(bands: Sequence[NDArray[np.float32]], layout: Layout) -> Iterator[Bytes]:
    """Convert samples whose white is found from all of them.

    Raises: Rejected (`unsupported`) if white cannot be known.
    """
    colours = [band[..., : layout.colours] for band in bands]
    _check_negative(
        sum(int(np.count_nonzero(band < 0)) for band in colours), sum(band.size for band in colours), layout
    )
    if layout.sample_format is SampleFormat.FLOAT:
        whites, opaque, highlights = _FLOAT_WHITES, 1.0, _HDR_HIGHLIGHTS
    else:
        opaque = float((1 << layout.bits - (layout.sample_format is SampleFormat.SIGNED)) - 1)
        whites, highlights = (*_WHOLE_WHITES, opaque), 1.0
    white = white_of(colours, whites, highlights=highlights)
    if white is None:
        ranges = ", ".join(f"0 to {white:.0f}" for white in whites)
        raise unsupported(f"{layout.name} pixels whose range is none of {ranges}")
    for band in bands:
        shown = to_eight_bits(band[..., : layout.colours], white)
        if layout.photometric is Photometric.MIN_IS_WHITE:
            shown = 255 - shown
        yield _with_alpha(shown, to_eight_bits(band[..., layout.colours :], opaque))


def _check_negative(negative: int, total: int, layout: Layout) -> None:
    if negative > _MOST_NEGATIVE_SHARE * total:
        raise unsupported(f"{layout.name} pixels, many of them negative")


def _by_palette(bands: Iterable[Samples], page: Directory, layout: Layout) -> Iterator[Bytes]:
    entries = np.array(page.values(tags.COLOUR_MAP), dtype=np.uint16)
    count = 1 << layout.bits
    if len(entries) < 3 * count:
        raise rejected(Reason.CORRUPT, f"a palette of {len(entries)} values; {3 * count} are needed")
    # Some programs write values of eight bits where sixteen are due, as libtiff found too.
    white = 255.0 if entries.max() < 256 else 65535.0
    table = to_eight_bits(entries, white)[: 3 * count].reshape(3, count).T
    for band in bands:
        alpha = to_eight_bits(band[..., 1:].astype(np.float32), float(count - 1))
        yield _with_alpha(table[band[..., 0]], alpha)


def _lab(band: Samples, layout: Layout) -> Bytes:
    """Return L from 0 to 255, and a and b plus 128, as Pillow's mode LAB has them.

    Source: TIFF 6.0, section 23, and its supplements for Photoshop (ICC Lab, sixteen bits).
    """
    unsigned = band.view(f"u{band.dtype.itemsize}")
    lightness = to_eight_bits(unsigned[..., :1], float((1 << layout.bits) - 1))
    # The sign of a and b is one bit; the low byte of sixteen holds fractions.
    high = np.minimum(
        unsigned[..., 1:].astype(np.uint32) + (1 << layout.bits - 8 >> 1), (1 << layout.bits) - 1
    )
    ab = (high >> layout.bits - 8).astype(np.uint8)
    if layout.photometric is Photometric.CIELAB:
        ab ^= 0x80
    return np.concatenate([lightness, ab], axis=2)


def _with_alpha(colours: Bytes, alpha: Bytes) -> Bytes:
    return np.concatenate([colours, alpha], axis=2) if alpha.shape[2] else colours


def _assembled(bands: Iterable[Bytes], layout: Layout) -> Image.Image:
    """Put bands of bytes together to one image."""
    mode = _MODES[layout.photometric]
    size_px = layout.width_px, layout.height_px
    image = Image.new(mode, size_px)
    alpha = None if layout.alpha is Alpha.NONE else Image.new("L", size_px)
    top = 0
    for band in bands:
        colours = band[..., : band.shape[2] - (alpha is not None)]
        if alpha is not None:
            opacity = band[..., -1]
            alpha.paste(Image.fromarray(opacity), (0, top))
            if layout.alpha is Alpha.PREMULTIPLIED and mode != "CMYK":
                colours = _straight(colours, opacity[..., np.newaxis])
        image.paste(_image(colours, mode), (0, top))
        top += len(band)
    # An alpha channel that is zero throughout was never filled in.
    if alpha is None or alpha.getextrema() == (0, 0):
        return image
    if mode == "CMYK":
        # Less ink is what paper shines through.
        return image if layout.alpha is Alpha.PREMULTIPLIED else _thinned(image, alpha)
    image.putalpha(alpha)
    return image


def _image(colours: Bytes, mode: str) -> Image.Image:
    if colours.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(colours[..., 0]))
    if mode == "LAB":
        return Image.merge(mode, [Image.fromarray(np.ascontiguousarray(colours[..., at])) for at in range(3)])
    size_px = colours.shape[1], colours.shape[0]
    return Image.frombuffer(mode, size_px, np.ascontiguousarray(colours), "raw", mode, 0, 1)


def _straight(colours: Bytes, alpha: Bytes) -> Bytes:
    """Divide colours by alpha; where it is zero, leave them as they are."""
    # Most pixels of most pictures are opaque.
    partial = (alpha[..., 0] > 0) & (alpha[..., 0] < 255)
    if not partial.any():
        return colours
    straight = colours.copy()
    factor = np.float32(255.0) / alpha[partial]
    straight[partial] = np.rint(np.minimum(colours[partial] * factor, 255.0))
    return straight


def _thinned(inks: Image.Image, alpha: Image.Image) -> Image.Image:
    return ImageChops.multiply(inks, Image.merge("CMYK", [alpha] * 4))
