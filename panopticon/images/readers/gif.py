"""Reading GIF: the first frame that shows something."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.animation import load_first_shown
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a GIF. Raises: Rejected (see `Reader`)."""
    image = open_header(GifImageFile, encoded, limits)
    first_frame = image.tile[0].extents
    load_first_shown(image, limits)
    picture = loaded(image)
    fills_canvas = first_frame is None or first_frame == (0, 0, *image.size)
    if fills_canvas or image.tell() or "transparency" in image.info:
        return picture
    # The decoder fills the rest of the canvas with the first colour of the palette; it is empty.
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image.crop(first_frame).convert("RGB"), first_frame)
    return replace(picture, image=paper)
