"""Reading a page of old-style JPEG compression, if it contains a whole JPEG file (TIFF 6.0, section 22)."""

from __future__ import annotations

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers import jpeg
from panopticon.images.readers.ifd import tags
from panopticon.images.readers.ifd.directories import Directory
from panopticon.images.readers.ifd.tags import Compression
from panopticon.images.readers.reader import Shrink
from panopticon.images.readers.tiff.layout import unsupported


def read(page: Directory, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
    """Decode the JPEG file that the page points to.

    Raises: Rejected (`unsupported` without such a file, or as the reader of JPEG does).
    """
    start = page.first(tags.JPEG_AT)
    size = page.first(tags.JPEG_BYTES) or len(page.encoded)
    whole = page.encoded[start : start + size]
    if not start or not whole.startswith(b"\xff\xd8\xff"):
        raise unsupported(Compression.OLD_JPEG.words)
    picture = jpeg.read(whole, limits=limits, shrink=shrink)
    if picture.stored_size_px != (page.first(tags.WIDTH), page.first(tags.HEIGHT)):
        raise unsupported(Compression.OLD_JPEG.words)
    return picture
