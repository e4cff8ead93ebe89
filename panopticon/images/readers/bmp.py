"""Reading BMP."""

from __future__ import annotations

from PIL.BmpImagePlugin import BmpImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.pillow import check_work, loaded, open_header
from panopticon.images.readers.reader import Shrink

_RUN_LENGTH_PASSES = 256
"""Passes that a run-length BMP counts as, because Pillow unpacks it by a loop in Python."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a BMP. Raises: Rejected (see `Reader`)."""
    image = open_header(BmpImageFile, encoded, limits)
    if image.tile[0].codec_name == "bmp_rle":
        check_work(image.size, passes=_RUN_LENGTH_PASSES, max_pixels=limits.max_pixels)
    return loaded(image)
