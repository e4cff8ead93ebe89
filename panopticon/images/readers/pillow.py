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
from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.exif import orientation_of
from panopticon.images.reasons import Reason, rejected

_Plugin = TypeVar("_Plugin", bound=ImageFile.ImageFile)

_MAX_PASSES = 32
"""Passes over the largest image allowed; a smaller image may take more, up to the same work."""
_MAX_FRAMES = 64
"""Frames of an animation among which one that shows something is looked for."""
_VISIBLE = 128
"""The alpha, of 255, from which on a pixel shows more of itself than of the paper."""
_STRIP_ROWS = 256
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
    rows = range(0, image.height, _STRIP_ROWS)
    strips = (image.crop((0, row, image.width, min(row + _STRIP_ROWS, image.height))) for row in rows)
    return hash(tuple(hash(strip.tobytes()) for strip in strips))


def load_first_shown(image: ImageFile.ImageFile, limits: DecodeLimits) -> None:
    """Decode the first frame of an animation that shows something; the first one if none does.

    Many animations fade in, so their first frames are empty paper.

    Raises: Rejected (`truncated`, `corrupt`, `too_costly`).
    """
    load_pixels(image)
    if shows_something(image):
        return
    for index in range(1, most_frames(image.size, limits)):
        if not _sought(image, index):
            break
        load_pixels(image)
        if shows_something(image):
            return
    _sought(image, 0)
    load_pixels(image)


def most_frames(size_px: tuple[int, int], limits: DecodeLimits) -> int:
    """Return how many frames are decoded at most to find one that shows something."""
    return min(_MAX_FRAMES, _MAX_PASSES * limits.max_pixels // max(1, size_px[0] * size_px[1]))


def shows_something(image: Image.Image) -> bool:
    """Return whether any pixel is more than half opaque."""
    if image.mode in ("LA", "RGBA", "PA"):
        return int(image.getchannel("A").getextrema()[1]) >= _VISIBLE  # type: ignore[arg-type]
    transparent = image.info.get("transparency")
    if image.mode in ("L", "P") and isinstance(transparent, int):
        return image.histogram()[transparent] < image.width * image.height
    if image.mode == "P" and isinstance(transparent, bytes):
        # Colours of the palette that have no alpha are opaque.
        hidden = {index for index, alpha in enumerate(transparent) if alpha < _VISIBLE}
        return any(count for index, count in enumerate(image.histogram()) if index not in hidden)
    return True


def _sought(image: ImageFile.ImageFile, index: int) -> bool:
    """Go to a frame; return False if there are not so many."""
    with reading():
        try:
            image.seek(index)
        except EOFError:
            return False
    return True


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


def check_pixels(width_px: int, height_px: int, max_pixels: int, *, factor: int = 1) -> None:
    """Raise Rejected (`zero_size`, `too_many_pixels`) for a size outside the limits.

    factor: how many times `max_pixels` an image of its kind may have.
    """
    if width_px <= 0 or height_px <= 0:
        raise rejected(Reason.ZERO_SIZE, f"{width_px} x {height_px} pixels")
    if width_px * height_px > factor * max_pixels:
        limit = f"at most {factor * max_pixels} ({f'{factor} × ' if factor > 1 else ''}setting max_pixels)"
        raise rejected(Reason.TOO_MANY_PIXELS, f"{width_px} x {height_px} pixels; {limit}")


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
