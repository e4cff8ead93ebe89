"""Conversion of any Pillow mode to RGB.

It takes two steps, so that a large image is never copied whole: `additive` converts strips before scaling,
`to_rgb` the scaled image.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_ADDITIVE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"})
_STRAIGHT = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}
_NUMERIC = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_PROFILED = frozenset({"L", "RGB", "CMYK"})
_MAX_PROFILE_BYTES = 4 * 1024 * 1024


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
        return image.convert("RGBA")
    if image.mode in _ADDITIVE:
        return image
    return image.convert(_STRAIGHT.get(image.mode, "RGB"))


def to_rgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert an additive image to sRGB, on white where it is transparent.

    profile: the ICC profile found in the file; anything that is not a profile for these colours is ignored.
    """
    opaque = image.convert("L" if image.mode == "LA" else "RGB") if image.mode in ("LA", "RGBA") else image
    transform = None
    if isinstance(profile, bytes) and len(profile) <= _MAX_PROFILE_BYTES and opaque.mode in _PROFILED:
        transform = _transform(profile, opaque.mode)
    profiled = ImageCms.applyTransform(opaque, transform) if transform else None
    colours = profiled or opaque.convert("RGB")
    if opaque is image:
        return colours
    paper = Image.new("RGB", image.size, "white")
    paper.paste(colours, mask=image.getchannel("A"))
    return paper


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the perceptual transform from a profile to sRGB; None if it is broken or changes nothing.

    It is cached, because photos of one camera share a profile, and building a transform can take longer than
    decoding a photo.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether 17 × 17 × 17 colours change by at most one level, as with copies of sRGB."""
    steps = np.arange(0, 257, 16).clip(max=255)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, 17 * 17, 3)
    transformed = np.asarray(ImageCms.applyTransform(Image.fromarray(cube.astype(np.uint8)), transform))
    return bool(np.abs(transformed.astype(int) - cube).max() <= 1)
