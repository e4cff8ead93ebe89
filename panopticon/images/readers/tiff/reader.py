"""Reading TIFF: its first page in full resolution.

Pillow reads the layouts that it is known to read rightly (`by_pillow`), at no more memory than the picture
takes. All others are read as numbers and converted to eight bits here (`by_samples`), or refused as
unsupported.
"""

from __future__ import annotations

from dataclasses import replace

from panopticon.images.limits import DecodeLimits, check_pixels
from panopticon.images.picture import Picture
from panopticon.images.readers.ifd import directories, tags
from panopticon.images.readers.ifd.directories import Directory
from panopticon.images.readers.ifd.tags import Compression
from panopticon.images.readers.reader import Shrink
from panopticon.images.readers.tiff import by_jpeg, by_pillow, by_samples
from panopticon.images.readers.tiff.layout import check_tiles, layout_of
from panopticon.images.readers.tiff.pages import picture_page
from panopticon.images.reasons import Reason, rejected


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
    """Decode a TIFF. Raises: Rejected (see `Reader`)."""
    page = _page(encoded)
    check_tiles(page)
    check_pixels(page.first(tags.WIDTH), page.first(tags.HEIGHT), limits.max_pixels)
    layout = layout_of(page)
    if layout.compression is Compression.OLD_JPEG:
        picture = by_jpeg.read(page, limits=limits, shrink=shrink)
        return replace(picture, orientation=_orientation(page))
    if by_pillow.can_read(page, layout):
        image = by_pillow.read(page, layout, limits)
    else:
        image = by_samples.read(page, layout, limits)
    return Picture(
        image=image,
        stored_size_px=image.size,
        orientation=_orientation(page),
        profile=page.raw(tags.PROFILE),
    )


def _orientation(page: Directory) -> int:
    """Return the orientation of a page, 1 to 8; 1 (upright) if it gives none that exists."""
    value = page.first(tags.ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _page(encoded: bytes) -> Directory:
    """Find the page before Pillow opens the file, because opening warns about a broken directory."""
    try:
        return picture_page(encoded)
    except directories.DirectoryError as error:
        raise rejected(Reason.TRUNCATED if error.truncated else Reason.CORRUPT, str(error)) from error
