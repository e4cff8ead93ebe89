"""Loading with Pillow: the header first, and the pixels only if the header is within the limits.

Only calls of Pillow lie inside `_reading`, so that a bug of ours is never taken for a corrupt image.
Pillow's plug-ins are called by name: `PIL.Image.open` would try others too, and warns about sizes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from panopticon.errors import Rejected
from panopticon.images import tiff_ifd
from panopticon.images.formats import Format
from panopticon.images.png import picture_of
from panopticon.images.reasons import Reason, rejected

_MAX_PASSES = 32
"""Passes over the largest image allowed; a smaller image may take more, up to the same work."""
_RUN_LENGTH_PASSES = 256
"""Passes that a run-length BMP counts as, because Pillow unpacks it by a loop in Python."""
_MAX_TILE_PX = 4096 * 4096


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Do nothing: the resolution is not needed, and reading it warns about broken EXIF."""


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


_PLUGINS: Mapping[Format, type[ImageFile.ImageFile]] = {
    Format.JPEG: _Jpeg,
    Format.PNG: PngImageFile,
    Format.WEBP: WebPImageFile,
    Format.GIF: GifImageFile,
    Format.TIFF: _Tiff,
    Format.BMP: BmpImageFile,
    Format.AVIF: AvifImageFile,
}


def open_header(encoded: bytes, format_: Format, *, max_pixels: int) -> ImageFile.ImageFile:
    """Open the image and check its header; no pixel is decoded yet.

    Raises: Rejected (`zero_size`, `too_many_pixels`, `too_costly`, `truncated`, `corrupt`).
    """
    if format_ is Format.PNG:
        encoded = picture_of(encoded)
    elif format_ is Format.WEBP:
        _check_webp(encoded, max_pixels)
    elif format_ is Format.TIFF:
        _check_tiff(encoded)
    elif format_ is Format.AVIF:
        _check_avif(encoded)
    with _reading():
        image = _PLUGINS[format_](io.BytesIO(encoded))
    _check_pixels(image.width, image.height, max_pixels)
    _check_work(image, encoded, max_pixels)
    return image


def load_pixels(image: ImageFile.ImageFile) -> None:
    """Decode the pixels.

    Raises: Rejected (`truncated`, `corrupt`, `too_costly`).
    """
    with _reading():
        image.load()


@contextmanager
def _reading() -> Iterator[None]:
    """Turn any exception into Rejected: Pillow reads one file here, so its exceptions are about that file."""
    try:
        yield
    except Exception as error:
        raise _translated(error) from error


def _translated(error: Exception) -> Rejected:
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return rejected(Reason.TOO_COSTLY, detail)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return rejected(Reason.TOO_MANY_PIXELS, detail)
    # Pillow has no exception class for this case; only the message identifies it.
    if str(error) == "not identified by this driver":
        return rejected(Reason.ZERO_SIZE, "the header gives no width, height or kind of pixel")
    if isinstance(error.__cause__ or error, EOFError | struct.error | IndexError) or "runcated" in str(error):
        return rejected(Reason.TRUNCATED, detail)
    return rejected(Reason.CORRUPT, detail)


def _check_pixels(width_px: int, height_px: int, max_pixels: int) -> None:
    if width_px <= 0 or height_px <= 0:
        raise rejected(Reason.ZERO_SIZE, f"{width_px} x {height_px} pixels")
    if width_px * height_px > max_pixels:
        raise rejected(Reason.TOO_MANY_PIXELS, f"{width_px} x {height_px} pixels; at most {max_pixels}")


def _check_work(image: ImageFile.ImageFile, encoded: bytes, max_pixels: int) -> None:
    """Reject an image that decodes far more slowly than its number of pixels suggests.

    A progressive JPEG takes one pass for each scan. The marker of a scan cannot occur in its data.
    """
    passes = 1
    if "progressive" in image.info:
        passes = encoded.count(b"\xff\xda")
    elif isinstance(image, BmpImageFile) and image.tile[0].codec_name == "bmp_rle":
        passes = _RUN_LENGTH_PASSES
    if passes * image.width * image.height > _MAX_PASSES * max_pixels:
        raise rejected(Reason.TOO_COSTLY, f"{image.width} x {image.height} pixels in {passes} passes")


def _check_webp(encoded: bytes, max_pixels: int) -> None:
    """Check the size before Pillow opens the file, because opening allocates the whole canvas."""
    if int.from_bytes(encoded[4:8], "little") + 8 > len(encoded):
        raise rejected(Reason.TRUNCATED, "shorter than its RIFF header gives")
    if encoded[12:16] == b"VP8X":
        width_px = int.from_bytes(encoded[24:27], "little") + 1
        height_px = int.from_bytes(encoded[27:30], "little") + 1
        _check_pixels(width_px, height_px, max_pixels)
    elif encoded[12:16] == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        _check_pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, max_pixels)
    elif encoded[12:16] == b"VP8 ":
        width_px = int.from_bytes(encoded[26:28], "little") & 0x3FFF
        height_px = int.from_bytes(encoded[28:30], "little") & 0x3FFF
        _check_pixels(width_px, height_px, max_pixels)


def _check_avif(encoded: bytes) -> None:
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


def _check_tiff(encoded: bytes) -> None:
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
