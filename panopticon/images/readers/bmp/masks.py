"""Unpacking BMP whose pixels have their colours at other bits than usual.

Source: Windows GDI, BITMAPV5HEADER.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from panopticon.images.reasons import Reason, rejected

_STRIP_PX = 1_000_000

Mask = int
"""The bits of a pixel that hold one colour, or alpha."""


def unpacked(packed: bytes, size_px: tuple[int, int], *, bits: int, masks: Sequence[Mask]) -> Image.Image:
    """Return an RGB image, or RGBA if there is a fourth mask; its top row is the first in the file.

    Raises: Rejected (`truncated`, `unsupported`).
    """
    width_px, height_px = size_px
    # Rows are padded to whole words of 32 bits.
    row_bytes = -(-width_px * bits // 32) * 4
    if bits not in (16, 32) or not all(_is_run(mask, bits) for mask in masks):
        raise rejected(Reason.UNSUPPORTED, "the layout of its pixels is not known here; save it as PNG")
    if len(packed) < row_bytes * height_px:
        raise rejected(Reason.TRUNCATED, "the end of the file is missing")
    image = Image.new("RGB" if len(masks) == 3 else "RGBA", size_px)
    rows_at_once = max(1, _STRIP_PX // width_px)
    for top in range(0, height_px, rows_at_once):
        rows = min(rows_at_once, height_px - top)
        numbers = np.frombuffer(packed, np.uint8, rows * row_bytes, top * row_bytes).reshape(rows, row_bytes)
        pixels = np.ascontiguousarray(numbers[:, : width_px * bits // 8]).view(f"<u{bits // 8}")
        colours = np.stack([_samples(pixels, mask) for mask in masks], axis=-1)
        image.paste(Image.fromarray(colours), (0, top))
    return image


def _is_run(mask: Mask, bits: int) -> bool:
    """Return whether a mask has neighbouring bits of a pixel, at least one."""
    run = mask // (mask & -mask) if mask else 0
    return 0 < mask < 1 << bits and run & (run + 1) == 0


def _samples(pixels: NDArray[np.unsignedinteger], mask: Mask) -> NDArray[np.uint8]:
    """Return one colour, stretched to 0 to 255."""
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> shift
    samples = (pixels & np.array(mask, pixels.dtype)) >> np.array(shift, pixels.dtype)
    return np.rint(samples * np.float64(255 / largest)).astype(np.uint8)
