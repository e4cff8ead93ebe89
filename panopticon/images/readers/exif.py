"""The orientation in EXIF data, wherever a format keeps them."""

from __future__ import annotations

from panopticon.exif.containers import MARK, MARK_BYTES
from panopticon.images.readers.ifd import tags
from panopticon.images.readers.ifd.directories import DirectoryError, whole_number

UPRIGHT = 1


def orientation_of(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if there is none or it cannot be read.

    Only the first directory counts: the second describes the thumbnail. Other tags may be broken, as they are
    in many photos, and some writers put the mark of EXIF twice.
    """
    tiff = exif
    while tiff.startswith(MARK):
        tiff = tiff[MARK_BYTES:]
    # Most images have no EXIF at all.
    if not tiff:
        return UPRIGHT
    try:
        value = whole_number(tiff, tags.ORIENTATION)
    except DirectoryError:
        return UPRIGHT
    return value if value is not None and 1 <= value <= 8 else UPRIGHT
