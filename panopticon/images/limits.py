"""Limits on the size of one image, which hold before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass

JPEG_PIXELS_FACTOR = 4
"""The multiple of `max_pixels` that a JPEG in one scan may have, as nearly all photos are.

Its decoder makes it smaller while it reads it, row by row: 200 megapixels take 0.02 GB, and 400 take 0.04.
The check of one that lacks its end mark takes 0.6. A progressive JPEG is kept whole: no multiple.
"""


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
