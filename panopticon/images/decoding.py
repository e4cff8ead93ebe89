"""Decode an encoded image into the pixels that a model takes."""

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
"""The transposition that turns an image of each EXIF orientation upright (EXIF 2.3, tag 274)."""
_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """Limits on the size of one image.

    Peak memory of an image of 100 megapixels, on top of its encoded bytes: baseline JPEG 0.01 GB, GIF and
    palette PNG 0.13, other PNG and TIFF 0.5, progressive JPEG 0.8, AVIF 0.9, WebP 1.5.
    """

    max_bytes: int = 64 * 1024 * 1024
    """Size of the encoded image."""
    max_pixels: int = 100_000_000
    """Width × height, as the header gives it. WebP, GIF and TIFF also stop at Pillow's own 178,956,970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One image, ready for its model."""

    pixels: NDArray[np.uint8]
    """(height_px, width_px, 3) of the model's input, sRGB, 0 to 255, C-contiguous."""
    width_px: int
    height_px: int
    """Size of the original when upright."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """An image whose pixels are decoded, still at the size and the way up that its decoder gave them."""

    image: ImageFile.ImageFile
    stored_size_px: tuple[int, int]
    """Width and height as the header gives them: before a JPEG's scaled decode, before turning."""
    orientation: int
    """EXIF orientation, 1 to 8."""
    bits: int
    """Bits in use of a sixteen-bit mode."""

    def turned(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Swap width and height if the image lies on its side."""
        return size_px[::-1] if self.orientation in _SIDEWAYS else size_px

    def upright_rgb(self, scaled: Image.Image) -> NDArray[np.uint8]:
        """Return the pixels of `scaled`, which is made of this image, as upright sRGB: (H, W, 3)."""
        rgb = to_rgb(scaled, self.image.info.get("icc_profile"))
        turn = _TURNS.get(self.orientation)
        return np.array(rgb if turn is None else rgb.transpose(turn))


_LIMITS = DecodeLimits()


def decode(
    encoded: bytes,
    *,
    input: Input,  # noqa: A002
    preprocessing: Preprocessing,
    limits: DecodeLimits = _LIMITS,
) -> Decoded:
    """Decode an image to the input's size: its central square, or a plug-in's output for the whole image.

    Formats, recognised by content: JPEG, PNG, WebP, GIF (first frame), TIFF (first page), BMP and AVIF.
    Several threads may call this function at once.

    Raises: Rejected, with a `Reason` or as the plug-in does; CardError if there is no plug-in, or it fails.
    """
    target_px = max(input.width_px, input.height_px)
    source = _open_source(encoded, limits, crop=preprocessing.crop, target_px=target_px)
    plugin = preprocessing.custom
    if plugin:
        # A plug-in does its own cropping and resizing, so it is given the whole picture.
        picture = source.upright_rgb(reduced(source.image, target_px, bits=source.bits))
        pixels = apply_plugin(picture, plugin, input=input, preprocessing=preprocessing)
    else:
        scaled = resized(
            source.image,
            central_square(source.image.size, preprocessing.crop),
            # Turning comes last, on fewer pixels, so an image on its side is scaled to the turned input size.
            source.turned((input.width_px, input.height_px)),
            filter_name=preprocessing.resize,
            bits=source.bits,
        )
        pixels = source.upright_rgb(scaled)
    width_px, height_px = source.turned(source.stored_size_px)
    return Decoded(pixels=pixels, width_px=width_px, height_px=height_px)


def _open_source(encoded: bytes, limits: DecodeLimits, *, crop: float, target_px: int) -> _Source:
    """Check the header against the limits, then decode the pixels.

    A JPEG is decoded as small as its decoder can make it while leaving enough pixels for the fine step.
    """
    if not encoded:
        raise rejected(Reason.EMPTY, "0 bytes")
    if len(encoded) > limits.max_bytes:
        raise rejected(Reason.TOO_MANY_BYTES, f"{len(encoded)} bytes; at most {limits.max_bytes}")
    format_ = format_of(encoded)
    image = open_header(encoded, format_, max_pixels=limits.max_pixels)
    stored_size_px = image.size
    factor = coarse_factor(central_square(image.size, crop).side_px, target_px)
    draft_px = draft_size(image.size, factor)
    # Of these formats only JPEG can be decoded at a reduced size.
    if isinstance(image, JpegImageFile) and draft_px:
        image.draft(None, draft_px)
    load_pixels(image)
    is_tiff = format_ is Format.TIFF
    return _Source(
        image=image,
        stored_size_px=stored_size_px,
        orientation=tiff_ifd.orientation_of(encoded if is_tiff else image.info.get("exif", b"")),
        bits=tiff_ifd.bits_of(encoded) if is_tiff else 16,
    )
