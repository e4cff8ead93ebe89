"""Reading AVIF."""

from __future__ import annotations

from PIL.AvifImagePlugin import AvifImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode an AVIF. Raises: Rejected (see `Reader`)."""
    _check_boxes(encoded)
    return loaded(open_header(AvifImageFile, encoded, limits))


def _check_boxes(encoded: bytes) -> None:
    """Check that all boxes are complete: the decoder reports a missing end only as bad data."""
    start = 0
    while start < len(encoded):
        size = int.from_bytes(encoded[start : start + 4])
        if size == 1:
            size = int.from_bytes(encoded[start + 8 : start + 16])
        elif size == 0:
            return
        if size < 8:
            raise rejected(Reason.CORRUPT, f"box of {size} bytes at byte {start}")
        start += size
    if start > len(encoded):
        raise rejected(
            Reason.TRUNCATED, f"the last box ends {start - len(encoded)} bytes after the end of the file"
        )
