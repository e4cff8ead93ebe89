"""Choice of the frame of an animation that is its picture: the first that shows something."""

from __future__ import annotations

from PIL import Image, ImageFile

from panopticon.images.limits import MAX_PASSES, DecodeLimits
from panopticon.images.readers.pillow import load_pixels, reading

_MAX_FRAMES = 64
"""Frames of an animation among which one that shows something is looked for."""
_VISIBLE = 128
"""The alpha, of 255, from which on a pixel shows more of itself than of the paper."""


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
    return min(_MAX_FRAMES, MAX_PASSES * limits.max_pixels // (size_px[0] * size_px[1]))


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
