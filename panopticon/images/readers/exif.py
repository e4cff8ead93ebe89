"""The orientation in EXIF data, wherever a format keeps them."""

from __future__ import annotations

from panopticon.images.readers.tiff_ifd import ORIENTATION, DirectoryError, whole_number

_PREFIX = b"Exif\0"
"""The bytes before the TIFF header; one more follows them, a zero in most files."""
UPRIGHT = 1


def orientation_of(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if there is none or it cannot be read.

    Only the first directory counts: the second describes the thumbnail. Other tags may be broken, as they are
    in many photos, and some writers put the prefix twice.
    """
    tiff = exif
    while tiff.startswith(_PREFIX):
        tiff = tiff[len(_PREFIX) + 1 :]
    # Most images have no EXIF at all.
    if not tiff:
        return UPRIGHT
    try:
        value = whole_number(tiff, ORIENTATION)
    except DirectoryError:
        return UPRIGHT
    return value if value is not None and 1 <= value <= 8 else UPRIGHT
