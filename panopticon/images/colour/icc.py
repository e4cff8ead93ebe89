"""Conversion by an ICC profile to sRGB."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_PROFILED = frozenset({"L", "RGB", "CMYK"})
_MAX_PROFILE_BYTES = 4 * 1024 * 1024


def converted_by_profile(image: Image.Image, profile: object) -> Image.Image | None:
    """Convert an image without alpha to sRGB; None if the profile changes nothing or fits another mode."""
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES or image.mode not in _PROFILED:
        return None
    transform = _transform(profile, image.mode)
    return ImageCms.applyTransform(image, transform) if transform else None


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
