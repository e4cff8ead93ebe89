"""Shapes, sizes and BMP headers: whole files that must be stored, or exceed a limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tools.picture_matrix import png_file as pf
from tools.picture_matrix.bmp_gif_cells import BITFIELDS, bmp
from tools.picture_matrix.jpeg_file import jpeg
from tools.picture_matrix.odd.catalogue import OddPicture
from tools.picture_matrix.odd.colours import base, base_grey, stored
from tools.picture_matrix.picture import Pixels

ARGB = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def pictures() -> Iterator[OddPicture]:
    """Make the odd pictures that are odd as files."""
    yield from _bitmaps()
    yield from _shapes()


def _bitmaps() -> Iterator[OddPicture]:
    size = (base().shape[1], base().shape[0])
    for name, alpha in (("zero", np.zeros_like(base_grey())), ("opaque", np.full_like(base_grey(), 255))):
        rows = np.ascontiguousarray(np.dstack([base()[..., ::-1], alpha])[::-1]).tobytes()
        yield stored(f"alpha_{name}_oldest_header.bmp", bmp(rows, bits=32, size_px=size), base())
        for header in (56, 108, 124):
            data = bmp(rows, bits=32, size_px=size, header_bytes=header, compression=BITFIELDS, masks=ARGB)
            yield stored(f"alpha_{name}_header_{header}.bmp", data, base())


def _shapes() -> Iterator[OddPicture]:
    yield stored("one_pixel.png", pf.png(np.array([[[200, 30, 30]]], np.uint8), bits=8, kind=pf.RGB))
    yield stored("one_column.png", pf.png(np.full((20000, 1), 90, np.uint8), bits=8, kind=pf.GREY))
    yield stored("65535_wide.png", pf.png(np.full((3, 65535), 90, np.uint8), bits=8, kind=pf.GREY))
    yield stored("65500_wide.jpg", jpeg(np.full((8, 65500), 90, np.uint8)))
    yield stored("panorama.jpg", jpeg(np.tile(base(), (1, 40, 1))))
    # Flat, so that a phone's 108 and 200 megapixels stay small files and are quick to make.
    flat = np.full((64, 64, 3), 90, np.uint8)
    for name, width, height in (("108", 12000, 9000), ("200", 16320, 12240)):
        yield stored(f"{name}_megapixels.jpg", jpeg(flat_grey(width, height), quality=50), flat)
    header = pf.png(np.zeros((1, 1), np.uint8), bits=8, kind=pf.GREY)
    size = (20000).to_bytes(4, "big") * 2
    chunk = pf.chunk(b"IHDR", size + header[24:29])
    yield OddPicture(
        file="400_megapixels.png", encoded=header[:8] + chunk + header[33:], expect="dead:too_many_pixels"
    )


def flat_grey(width_px: int, height_px: int) -> Pixels:
    """Return a picture of one grey."""
    return np.asarray(Image.new("L", (width_px, height_px), 90))
