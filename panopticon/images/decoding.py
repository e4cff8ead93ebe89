"""Decode an encoded image into the pixels that a model takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import Input, Preprocessing
from panopticon.images.formats import format_of
from panopticon.images.limits import DecodeLimits
from panopticon.images.plugin import apply_plugin
from panopticon.images.readers import read
from panopticon.images.reasons import Reason, rejected
from panopticon.images.scaling import central_square, coarse_factor, reduced, resized


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One image, ready for its model."""

    pixels: NDArray[np.uint8]
    """(height_px, width_px, 3) of the model's input, sRGB, 0 to 255, C-contiguous."""
    width_px: int
    height_px: int
    """Size of the original when upright."""


_LIMITS = DecodeLimits()


def decode(
    encoded: bytes,
    *,
    input: Input,  # noqa: A002
    preprocessing: Preprocessing,
    limits: DecodeLimits = _LIMITS,
) -> Decoded:
    """Decode an image to the input's size: its central square, or a plug-in's output for the whole image.

    Formats, recognised by content: JPEG, PNG, WebP, GIF (first frame), TIFF (first page in full size), BMP,
    AVIF, HEIC and other HEIF (primary picture), and camera RAW.
    Several threads may call this function at once.

    Raises: Rejected, with a `Reason` or as the plug-in does; CardError if there is no plug-in, or it fails.
    """
    if not encoded:
        raise rejected(Reason.EMPTY, "0 bytes")
    if len(encoded) > limits.max_bytes:
        raise rejected(
            Reason.TOO_MANY_BYTES, f"{len(encoded)} bytes; at most {limits.max_bytes} (setting max_bytes)"
        )
    target_px = max(input.width_px, input.height_px)

    def shrink(size_px: tuple[int, int]) -> int:
        return coarse_factor(central_square(size_px, preprocessing.crop).side_px, target_px)

    picture = read(encoded, format_of(encoded), limits=limits, shrink=shrink)
    plugin = preprocessing.custom
    if plugin:
        # A plug-in does its own cropping and resizing, so it is given the whole picture.
        whole = picture.upright_rgb(reduced(picture.image, target_px))
        pixels = apply_plugin(whole, plugin, input=input, preprocessing=preprocessing)
    else:
        scaled = resized(
            picture.image,
            central_square(picture.image.size, preprocessing.crop),
            # Turning comes last, on fewer pixels, so an image on its side is scaled to the turned input size.
            picture.turned((input.width_px, input.height_px)),
            filter_name=preprocessing.resize,
        )
        pixels = picture.upright_rgb(scaled)
    width_px, height_px = picture.turned(picture.stored_size_px)
    return Decoded(pixels=pixels, width_px=width_px, height_px=height_px)
