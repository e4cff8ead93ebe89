"""One cell of the matrix: an encoded picture, what it must look like, and how the decoder did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import Decoded, decode
from tools.picture_matrix.picture import SIDE_PX

UNSUPPORTED = "unsupported"
LOSSLESS_TOLERANCE = 3.0
"""Mean difference in levels of 255 up to which a picture is right: rounding, profiles, and chroma filters."""
LOSSY_TOLERANCE = 5.0
"""For JPEG, AVIF, HEIC and lossy WebP, which blur the texture of so small a picture by up to 4 levels."""
HDR_TOLERANCE = 8.0
"""For PQ and HLG: eight bits have coarse steps there, and displays with less range differ in their whites.

Reference white is 203 cd/m² (ITU-R BT.2408). Taken for sRGB, the picture is off by 25 or more.
"""


class Status(StrEnum):
    """An outcome of decoding one cell."""

    RIGHT = "right"
    UNSUPPORTED = "unsupported"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One encoding of the picture."""

    name: str
    """Its coordinates, with slashes between; the first is the container."""
    encoded: bytes
    reference: NDArray[np.uint8]
    """(SIDE_PX, SIDE_PX, 3), sRGB: the pixels by construction."""
    tolerance: float = LOSSLESS_TOLERANCE
    must_be_right: bool = True
    """False for exotic encodings, which may be refused as unsupported."""

    @property
    def container(self) -> str:
        """The first coordinate, such as `tiff`."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of decoding one cell."""

    cell: Cell
    status: Status
    detail: str
    """The measured difference, or the error."""
    pixels: NDArray[np.uint8] | None = None

    def __str__(self) -> str:
        return f"{self.cell.name}: {self.detail}"


def decode_whole(encoded: bytes) -> Decoded:
    """Decode a picture of the matrix without scaling it."""
    size = Input(width_px=SIDE_PX, height_px=SIDE_PX)
    return decode(encoded, input=size, preprocessing=Preprocessing())


def check(cell: Cell, decoder: Callable[[bytes], Decoded] = decode_whole) -> Outcome:
    """Decode a cell and compare it with its reference."""
    try:
        decoded = decoder(cell.encoded)
    except Rejected as error:
        refused = error.reason == UNSUPPORTED and not cell.must_be_right
        detail = f"{error.reason}: {error.detail}"
        return Outcome(cell=cell, status=Status.UNSUPPORTED if refused else Status.WRONG, detail=detail)
    except Exception as error:
        # A crash of the decoder is an outcome of this cell; the other cells are still checked.
        return Outcome(cell=cell, status=Status.WRONG, detail=f"crash: {type(error).__name__}: {error}")
    off = difference(decoded.pixels, cell.reference)
    right = off <= cell.tolerance and (decoded.width_px, decoded.height_px) == (SIDE_PX, SIDE_PX)
    detail = f"off by {off:.1f} of 255, at most {cell.tolerance:g}"
    if (decoded.width_px, decoded.height_px) != (SIDE_PX, SIDE_PX):
        detail = f"{decoded.width_px} x {decoded.height_px} pixels"
    status = Status.RIGHT if right else Status.WRONG
    return Outcome(cell=cell, status=status, detail=detail, pixels=decoded.pixels)


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference of two pictures in levels of 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def all_cells(only: str = "") -> Iterator[Cell]:
    """Make the cells whose names begin with `only`, container by container."""
    from tools.picture_matrix import bmp_gif_cells, iso_cells, jpeg_cells, png_cells, tiff_cells, webp_cells

    wanted = only.partition("/")[0]
    for containers, module in (
        (("tiff",), tiff_cells),
        (("png",), png_cells),
        (("bmp", "gif"), bmp_gif_cells),
        (("jpeg",), jpeg_cells),
        (("webp",), webp_cells),
        (("avif", "heic"), iso_cells),
    ):
        if any(name.startswith(wanted) for name in containers):
            yield from (cell for cell in module.cells() if cell.name.startswith(only))
