"""Conversion of samples that are wider than eight bits, or are not whole numbers, to eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from panopticon.images.strips import strips

Samples = NDArray[Any]

_STRIP_PX = 4_000_000
_STATISTICS_SAMPLES = 1_000_000
_OVERSHOOT = 1.1
"""The share of white that values may reach, because sharpening and scaling overshoot."""
_LEAST_SHARE_OF_WHITE = 1 / 3
"""Brightest value, as a share of white, up to which a picture is rather one of another, unknown white."""


def to_eight_bits(samples: Samples, white: float) -> NDArray[np.uint8]:
    """Scale 0 to `white` to 0 to 255, linearly.

    Values outside are clipped, and what is not a number becomes black.
    """
    if samples.dtype == np.uint8 and white == 255:
        return samples
    if samples.dtype == np.uint16:
        return np.asarray(_table(white)[samples])
    numbers = samples.astype(np.float32)
    np.nan_to_num(numbers, copy=False, nan=0.0, posinf=white, neginf=0.0)
    scaled = np.clip(numbers, 0.0, white) * np.float32(255.0 / white)
    eight_bit: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return eight_bit


@lru_cache(maxsize=16)
def _table(white: float) -> NDArray[np.uint8]:
    return to_eight_bits(np.arange(1 << 16, dtype=np.uint32), white)


def eight_bit_grey(image: Image.Image) -> Image.Image:
    """Convert an image of one of Pillow's sixteen-bit modes to mode L; return any other image as it is."""
    if not image.mode.startswith("I;16"):
        return image
    grey = Image.new("L", image.size)
    for box in strips(image.size, _STRIP_PX):
        strip = np.asarray(image.crop(box)).astype(np.uint16, copy=False)
        grey.paste(Image.fromarray(to_eight_bits(strip, 65535.0)), box)
    return grey


def white_of(
    bands: Sequence[Samples], candidates: Sequence[float], *, highlights: float = 1.0
) -> float | None:
    """Return the candidate that is white in these samples, whose kind does not define it; None if none fits.

    A few far brighter values, such as lamps in an HDR picture, do not count: they are clipped.

    candidates: the possible values of white, ascending.
    highlights: how many times the first candidate large parts of a picture may reach, such as the sky in HDR.
    """
    bright = np.concatenate([_bright(band, len(bands)) for band in bands])
    first = candidates[0]
    if not bright.size:
        return first
    median, high, top = np.percentile(bright, (50, 90, 99.9))
    if high <= first or (median <= first and top <= highlights * first):
        return first
    if median <= first:
        return None
    return next(
        (white for white in candidates if white * _LEAST_SHARE_OF_WHITE < top <= white * _OVERSHOOT), None
    )


def _bright(band: Samples, bands: int) -> Samples:
    """Return the positive, finite values of a band, or an even selection of them if there are many."""
    step = max(1, band.size * bands // _STATISTICS_SAMPLES)
    chosen = band.reshape(-1)[::step]
    return chosen[np.isfinite(chosen) & (chosen > 0)]
