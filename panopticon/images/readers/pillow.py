"""Calls of Pillow: the header first, and the pixels only if the header is within the limits.

Only calls of Pillow lie inside `reading`, so that a bug of ours is never taken for a corrupt image.
Pillow's plug-ins are called by name: `PIL.Image.open` would try others too, and warns about sizes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from PIL import Image, ImageFile

from panopticon.errors import Rejected
from panopticon.images.depth import eight_bit_grey
from panopticon.images.limits import DecodeLimits, check_pixels
from panopticon.images.picture import Picture
from panopticon.images.readers.exif import orientation_of
from panopticon.images.reasons import Reason, rejected
from panopticon.images.strips import strips

_Plugin = TypeVar("_Plugin", bound=ImageFile.ImageFile)

_STRIP_PX = 1_000_000
_UNSUPPORTED = ("nsupported", "unknown pixel mode", "unknown data organization")


def open_header(plugin: type[_Plugin], encoded: bytes, limits: DecodeLimits) -> _Plugin:
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


def pixels_hash(image: Image.Image) -> int:
    """Return a number that changes with the pixels, which are copied a strip at a time."""
    return hash(tuple(hash(image.crop(box).tobytes()) for box in strips(image.size, _STRIP_PX)))


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


@contextmanager
def reading() -> Iterator[None]:
    """Turn any exception into Rejected: Pillow reads one file here, so its exceptions are about that file."""
    try:
        yield
    except Exception as error:
        raise _translated(error) from error


def _translated(error: Exception) -> Rejected:
    """Return the rejection in words for a person; the chained exception keeps those of the decoder."""
    message = str(error)
    if isinstance(error, MemoryError):
        return rejected(Reason.TOO_COSTLY, "decoding it takes more memory than there is")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return rejected(Reason.TOO_MANY_PIXELS, "it has more pixels than its decoder takes")
    # Pillow has no exception classes for these cases; only the messages identify them.
    if message == "not identified by this driver":
        return rejected(Reason.ZERO_SIZE, "the header gives no width, height or kind of pixel")
    if any(words in message for words in _UNSUPPORTED):
        return rejected(
            Reason.UNSUPPORTED, "a variant of its format that is not read; save it as PNG or JPEG"
        )
    if isinstance(error.__cause__ or error, EOFError | struct.error | IndexError) or "runcated" in message:
        return rejected(Reason.TRUNCATED, "the end of the file is missing")
    return rejected(Reason.CORRUPT, "the file is damaged: its data break the rules of its format")
