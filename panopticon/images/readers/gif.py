"""Reading GIF: its first frame."""

from __future__ import annotations

from PIL.GifImagePlugin import GifImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a GIF. Raises: Rejected (see `Reader`)."""
    return loaded(open_header(GifImageFile, encoded, limits))
