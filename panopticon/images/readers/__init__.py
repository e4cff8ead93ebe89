"""Readers: one module for each image format, from encoded bytes to a `Picture`."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.images.formats import Format
from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers import avif, bmp, gif, heif, jpeg, png, raw, tiff, webp
from panopticon.images.readers.reader import Reader, Shrink

_READERS: Mapping[Format, Reader] = {
    Format.JPEG: jpeg.read,
    Format.PNG: png.read,
    Format.WEBP: webp.read,
    Format.GIF: gif.read,
    Format.TIFF: tiff.read,
    Format.BMP: bmp.read,
    Format.AVIF: avif.read,
    Format.HEIF: heif.read,
    Format.RAW: raw.read,
}


def read(encoded: bytes, format_: Format, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
    """Decode the image's pixels, after its header is found to be within the limits.

    Raises: Rejected, with a `Reason`.
    """
    if format_ is Format.TIFF and raw.is_inside_tiff(encoded):
        format_ = Format.RAW
    return _READERS[format_](encoded, limits=limits, shrink=shrink)
