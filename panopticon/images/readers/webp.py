"""Reading WebP."""

from __future__ import annotations

from PIL.WebPImagePlugin import WebPImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.pillow import check_pixels, loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a WebP. Raises: Rejected (see `Reader`)."""
    _check_size(encoded, limits.max_pixels)
    return loaded(open_header(WebPImageFile, encoded, limits))


def _check_size(encoded: bytes, max_pixels: int) -> None:
    """Check the size before Pillow opens the file, because opening allocates the whole canvas."""
    if int.from_bytes(encoded[4:8], "little") + 8 > len(encoded):
        raise rejected(Reason.TRUNCATED, "shorter than its RIFF header gives")
    if encoded[12:16] == b"VP8X":
        width_px = int.from_bytes(encoded[24:27], "little") + 1
        height_px = int.from_bytes(encoded[27:30], "little") + 1
        check_pixels(width_px, height_px, max_pixels)
    elif encoded[12:16] == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        check_pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, max_pixels)
    elif encoded[12:16] == b"VP8 ":
        width_px = int.from_bytes(encoded[26:28], "little") & 0x3FFF
        height_px = int.from_bytes(encoded[28:30], "little") & 0x3FFF
        check_pixels(width_px, height_px, max_pixels)
