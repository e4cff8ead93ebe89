"""Conversion of any Pillow mode to one whose values may be averaged, a strip at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

_ADDITIVE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"})
_STRAIGHT = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}
_NUMERIC = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})


def is_numeric(image: Image.Image) -> bool:
    """Return whether pixels are numbers of more than eight bits, whose white must be found first."""
    return image.mode in _NUMERIC


def white_of(strips: Iterable[Image.Image], *, bits: int = 16) -> float:
    """Return the pixel value that stands for white.

    Sixteen-bit modes: the largest number of `bits` bits. Modes I and F do not define their range, so white is
    derived from the largest finite value: the smallest of 1 (F only), 255 and 65535 that is not below it, or
    that value itself.
    """
    largest = 0.0
    for strip in strips:
        if strip.mode.startswith("I;16"):
            return float(2**bits - 1)
        values = np.asarray(strip)
        largest = max(largest, float(np.max(values, initial=0, where=np.isfinite(values))))
        floor = 1.0 if strip.mode == "F" else 255.0
    return next((white for white in (floor, 255.0, 65535.0) if white >= largest), largest)


def additive(image: Image.Image, *, white: float = 255.0) -> Image.Image:
    """Convert to a mode whose values may be averaged: L, LA, RGB, RGBA, CMYK, YCbCr or LAB.

    white: for numeric modes, the result of `white_of` for the whole image.
    """
    if is_numeric(image):
        # Linear from 0 to `white`; values outside are clipped, and what is not a number becomes black.
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=white, neginf=0.0)
        grey = np.clip(values * np.float32(255.0 / white), 0.0, 255.0)
        return Image.fromarray(np.rint(grey).astype(np.uint8))
    if "transparency" in image.info or (image.mode == "P" and image.has_transparency_data):
        # Grey stays grey, so that a grey profile still fits it.
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in _ADDITIVE:
        return image
    return image.convert(_STRAIGHT.get(image.mode, "RGB"))
