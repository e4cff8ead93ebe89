"""Limits on the size of one image, and the checks of them before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from panopticon.images.reasons import Reason, rejected

JPEG_PIXELS_FACTOR = 4
"""The multiple of `max_pixels` that a JPEG in one scan may have, as nearly all photos are.

Its decoder makes it smaller while it reads it, row by row: 200 megapixels take 0.02 GB, and 400 take 0.04.
The check of one that lacks its end mark takes 0.6. A progressive JPEG is kept whole: no multiple.
"""
MAX_PASSES = 32
"""Passes over the largest image allowed; a smaller image may take more, up to the same work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """Limits on the size of one image.

    Peak memory of an image of 100 megapixels, on top of its encoded bytes: baseline JPEG 0.01 GB, GIF and
    palette PNG 0.13, other PNG and TIFF 0.5, RAW 0.6, HEIC and progressive JPEG 0.8, AVIF 0.9, TIFF of more
    than eight bits up to 1.2, PNG of sixteen bits with a transparent colour 1.3, WebP 1.5.
    """

    max_bytes: int = 64 * 1024 * 1024
    """Size of the encoded image."""
    max_pixels: int = 100_000_000
    """Width × height, as the header gives it. WebP, GIF and TIFF also stop at Pillow's own 178,956,970."""


def check_pixels(width_px: int, height_px: int, max_pixels: int, *, factor: int = 1) -> None:
    """Raise Rejected (`zero_size`, `too_many_pixels`) for a size outside the limits.

    factor: how many times `max_pixels` an image of its kind may have.
    """
    if width_px <= 0 or height_px <= 0:
        raise rejected(Reason.ZERO_SIZE, f"{width_px} x {height_px} pixels")
    if width_px * height_px > factor * max_pixels:
        limit = f"at most {factor * max_pixels} ({f'{factor} × ' if factor > 1 else ''}setting max_pixels)"
        raise rejected(Reason.TOO_MANY_PIXELS, f"{width_px} x {height_px} pixels; {limit}")


def check_work(size_px: tuple[int, int], *, passes: int, max_pixels: int) -> None:
    """Raise Rejected (`too_costly`) for an image that decodes far more slowly than its size suggests.

    passes: number of times that decoding goes over the whole image.
    """
    if passes * size_px[0] * size_px[1] > MAX_PASSES * max_pixels:
        raise rejected(Reason.TOO_COSTLY, f"{size_px[0]} x {size_px[1]} pixels in {passes} passes")
