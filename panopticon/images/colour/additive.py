"""Conversion of any Pillow mode to one whose values may be averaged, a strip at a time."""

from __future__ import annotations

from PIL import Image

_ADDITIVE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"})
_STRAIGHT = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}


def additive(image: Image.Image) -> Image.Image:
    """Convert to a mode whose values may be averaged: L, LA, RGB, RGBA, CMYK, YCbCr or LAB."""
    if "transparency" in image.info or (image.mode == "P" and image.has_transparency_data):
        # Grey stays grey, so that a grey profile still fits it.
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in _ADDITIVE:
        return image
    return image.convert(_STRAIGHT.get(image.mode, "RGB"))
