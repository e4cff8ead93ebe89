"""EXIF orientation: how a picture lies in a file that says so, and where the file says it."""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def stored_for(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return the pixels as stored, which a reader turns upright (EXIF 2.3, tag 274).

    The tag names the edge of the upright picture at which the stored first row and first column lie.
    """
    swapped = np.swapaxes(upright, 0, 1)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: swapped,
        # First row at the right, first column at the top.
        6: swapped[::-1],
        7: swapped[::-1, ::-1],
        8: swapped[:, ::-1],
    }[orientation]
    return np.ascontiguousarray(stored)


def exif(orientation: int, *, order: Literal["<", ">"] = "<", headers: int = 0) -> bytes:
    """Return EXIF with nothing but the orientation; headers: how many times `Exif` stands before it."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHLHH", 274, 3, 1, orientation, 0)
    return b"Exif\0\0" * headers + start + struct.pack(order + "LH", 8, 1) + entry + bytes(4)
