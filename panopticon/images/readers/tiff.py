"""Reading TIFF: its first page."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers import tiff_ifd
from panopticon.images.readers.exif import orientation_of
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected

_MAX_TILE_PX = 4096 * 4096


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        """Allocate the pixels without Pillow's warning about sizes, which are checked already."""
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size, None).im
        super().load_prepare()

    def _setup(self) -> None:
        """Set the size as stored: Pillow sets that of the upright image, which it makes in `load_end`."""
        super()._setup()
        self._size = self._tile_size

    def load_end(self) -> None:
        """Do nothing: every image is turned after scaling."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a TIFF. Raises: Rejected (see `Reader`)."""
    _check_directory(encoded)
    picture = loaded(open_header(_Tiff, encoded, limits))
    return replace(picture, orientation=orientation_of(encoded), bits=tiff_ifd.bits_of(encoded))


def _check_directory(encoded: bytes) -> None:
    """Check the directory before Pillow opens the file, because opening warns about a broken directory.

    One tile can be larger than the image, and is unpacked whole, so its size is limited as well.
    """
    try:
        tags = tiff_ifd.first_directory(encoded)
    except tiff_ifd.DirectoryError as error:
        raise rejected(Reason.TRUNCATED if error.truncated else Reason.CORRUPT, str(error)) from error
    image_px = tags.get(tiff_ifd.WIDTH, 0) * tags.get(tiff_ifd.HEIGHT, 0)
    tile_px = tags.get(tiff_ifd.TILE_WIDTH, 0) * tags.get(tiff_ifd.TILE_HEIGHT, 0)
    if tile_px > max(_MAX_TILE_PX, image_px):
        raise rejected(Reason.TOO_COSTLY, f"tiles of {tile_px} pixels")
