"""The way from encoded bytes to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from panopticon.cards.cards import Input, Preprocessing
from panopticon.images import tiff_ifd
from panopticon.images.colour import to_rgb
from panopticon.images.formats import Format, format_of
from panopticon.images.pillow_loader import load_pixels, open_header
from panopticon.images.plugin import apply_plugin
from panopticon.images.reasons import Reason, rejected
from panopticon.images.scaling import central_square, coarse_factor, draft_size, reduced, resized

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of each EXIF orientation upright (EXIF 2.3, tag 274)."""
_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """What one image may cost.

    A picture of 100 megapixels takes at its peak, on top of its encoded bytes: baseline JPEG 0.01 GB, GIF and
    palette PNG 0.13, other PNG and TIFF 0.5, progressive JPEG 0.8, AVIF 0.9, WebP 1.5.
    """

    max_bytes: int = 64 * 1024 * 1024
    """Encoded."""
    max_pixels: int = 100_000_000
    """Width × height, as the header says it. WebP, GIF and TIFF also stop at Pillow's own 178,956,970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One image, ready for its model."""

    pixels: NDArray[np.uint8]
    """(height_px, width_px, 3) of the model's input, sRGB, 0 to 255, C-contiguous."""
    width_px: int
    height_px: int
    """Of the original, the way up it is looked at."""


_LIMITS = DecodeLimits()


def decode(
    encoded: bytes,
    *,
    input: Input,  # noqa: A002
    preprocessing: Preprocessing,
    limits: DecodeLimits = _LIMITS,
) -> Decoded:
    """The central part of an image, or what a plug-in makes of the whole, upright, sRGB, of the input's size.

    JPEG, PNG, WebP, GIF (first frame), TIFF (first page), BMP and AVIF, told by content. Several threads may
    call it at once.

    Raises: Rejected, with a `Reason` or as the plug-in does; CardError if there is no plug-in, or it fails.
    """
    _check_bytes(len(encoded), limits.max_bytes)
    format_ = format_of(encoded)
    image = open_header(encoded, format_, max_pixels=limits.max_pixels)
    width_px, height_px = image.size
    target_px = max(input.width_px, input.height_px)
    _load_scaled(image, crop=preprocessing.crop, target_px=target_px)
    tags = encoded if format_ is Format.TIFF else image.info.get("exif", b"")
    orientation = tiff_ifd.orientation_of(tags)
    bits = tiff_ifd.bits_of(encoded) if format_ is Format.TIFF else 16
    size_px = (input.width_px, input.height_px)
    plugin = preprocessing.custom
    small = (
        reduced(image, target_px, bits=bits)
        if plugin
        else resized(
            image,
            central_square(image.size, preprocessing.crop),
            size_px[::-1] if orientation in _SIDEWAYS else size_px,
            filter_name=preprocessing.resize,
            bits=bits,
        )
    )
    colours = to_rgb(small, image.info.get("icc_profile"))
    upright = colours.transpose(_TURNS[orientation]) if orientation in _TURNS else colours
    if orientation in _SIDEWAYS:
        width_px, height_px = height_px, width_px
    pixels = np.array(upright)
    if plugin:
        pixels = apply_plugin(pixels, plugin, input=input, preprocessing=preprocessing)
    return Decoded(pixels=pixels, width_px=width_px, height_px=height_px)


def _check_bytes(size_bytes: int, max_bytes: int) -> None:
    if size_bytes == 0:
        raise rejected(Reason.EMPTY, "0 bytes")
    if size_bytes > max_bytes:
        raise rejected(Reason.TOO_MANY_BYTES, f"{size_bytes} bytes; at most {max_bytes}")


def _load_scaled(image: ImageFile.ImageFile, *, crop: float, target_px: int) -> None:
    """Decodes the pixels; a JPEG as small as its decoder can make it while leaving the fine step enough."""
    factor = coarse_factor(central_square(image.size, crop).side_px, target_px)
    size_px = draft_size(image.size, factor)
    if isinstance(image, JpegImageFile) and size_px:
        image.draft(None, size_px)
    load_pixels(image)
