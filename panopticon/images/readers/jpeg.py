"""Reading JPEG, as small as its decoder can make it while leaving enough pixels for the fine step."""

from __future__ import annotations

from dataclasses import replace

from PIL.JpegImagePlugin import JpegImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.pillow import check_work, loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.scaling import draft_size


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Do nothing: the resolution is not needed, and reading it warns about broken EXIF."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
    """Decode a JPEG. Raises: Rejected (see `Reader`)."""
    image = open_header(_Jpeg, encoded, limits)
    # A progressive JPEG takes one pass for each scan. The marker of a scan cannot occur in its data.
    passes = encoded.count(b"\xff\xda") if "progressive" in image.info else 1
    check_work(image.size, passes=passes, max_pixels=limits.max_pixels)
    stored_size_px = image.size
    draft_px = draft_size(image.size, shrink(image.size))
    if draft_px:
        image.draft(None, draft_px)
    return replace(loaded(image), stored_size_px=stored_size_px)
