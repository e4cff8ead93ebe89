"""Thumbnails: small JPEGs of images, for people."""

from __future__ import annotations

import io

from PIL import Image

from panopticon.cards.cards import Input, Preprocessing
from panopticon.images.decoding import decode
from panopticon.images.limits import DecodeLimits

_JPEG_QUALITY = 80


def thumbnail(encoded: bytes, *, side_px: int, limits: DecodeLimits) -> bytes:
    """Return a JPEG of the central square, which is roughly what models see, without the original's metadata.

    Raises: Rejected, with a `Reason`.
    """
    square = Input(width_px=side_px, height_px=side_px)
    decoded = decode(encoded, input=square, preprocessing=Preprocessing(), limits=limits)
    file = io.BytesIO()
    Image.fromarray(decoded.pixels).save(file, format="JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
