"""Calls of Pillow: the header first, and the pixels only if the header is within the limits.

Only calls of Pillow lie inside `reading`, so that a bug of ours is never taken for a corrupt image.
Pillow's plug-ins are called by name: `PIL.Image.open` would try others too, and warns about sizes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from panopticon.errors import Rejected
from panopticon.images.depth import eight_bit_grey
from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.tiff_ifd import orientation_of
from panopticon.images.reasons import Reason, rejected

_MAX_PASSES = 32
"""Passes over the largest image allowed; a smaller image may take more, up to the same work."""


def open_header(
    plugin: type[ImageFile.ImageFile], encoded: bytes, limits: DecodeLimits
) -> ImageFile.ImageFile:
    """Open the image with one of Pillow's plug-ins and check its size; no pixel is decoded yet.

    Raises: Rejected (`zero_size`, `too_many_pixels`, `truncated`, `corrupt`).
    """
    with reading():
        image = plugin(io.BytesIO(encoded))
    check_pixels(image.width, image.height, limits.max_pixels)
    return image


def load_pixels(image: ImageFile.ImageFile) -> None:
    """Decode the pixels.

    Raises: Rejected (`truncated`, `corrupt`, `too_costly`).
    """
    with reading():
        image.load()


def loaded(image: ImageFile.ImageFile) -> Picture:
    """Decode the pixels of an image that is turned and coloured as its EXIF and ICC data describe.

    Raises: Rejected (`truncated`, `corrupt`, `too_costly`).
    """
    stored_size_px = image.size
    load_pixels(image)
    return Picture(
        image=eight_bit_grey(image),
        stored_size_px=stored_size_px,
        orientation=orientation_of(image.info.get("exif", b"")),
        profile=image.info.get("icc_profile"),
    )


def check_pixels(width_px: int, height_px: int, max_pixels: int) -> None:
    """Raise Rejected (`zero_size`, `too_many_pixels`) for a size outside the limits."""
    if width_px <= 0 or height_px <= 0:
        raise rejected(Reason.ZERO_SIZE, f"{width_px} x {height_px} pixels")
    if width_px * height_px > max_pixels:
        raise rejected(Reason.TOO_MANY_PIXELS, f"{width_px} x {height_px} pixels; at most {max_pixels}")


def check_work(size_px: tuple[int, int], *, passes: int, max_pixels: int) -> None:
    """Raise Rejected (`too_costly`) for an image that decodes far more slowly than its size suggests.

    passes: number of times that decoding goes over the whole image.
    """
    if passes * size_px[0] * size_px[1] > _MAX_PASSES * max_pixels:
        raise rejected(Reason.TOO_COSTLY, f"{size_px[0]} x {size_px[1]} pixels in {passes} passes")


@contextmanager
def reading() -> Iterator[None]:
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
