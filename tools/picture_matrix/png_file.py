"""A PNG writer for every depth, kind of pixel and chunk (PNG, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from tools.picture_matrix.tiff_file import packed_samples

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and steps of each pass."""

Chunk = tuple[bytes, bytes]


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    samples: NDArray[Any],
    *,
    bits: int,
    kind: int,
    before: Sequence[Chunk] = (),
    after: Sequence[Chunk] = (),
    interlaced: bool = False,
) -> bytes:
    """Encode samples, (H, W) or (H, W, S); the chunks `before` and `after` stand around the pixels."""
    values = samples if samples.ndim == 3 else samples[..., None]
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    passes = [values[y::down, x::across] for x, y, across, down in _ADAM7] if interlaced else [values]
    raw = b"".join(_filtered(part, bits) for part in passes if part.size)
    middle = b"".join(chunk(*each) for each in before)
    end = b"".join(chunk(*each) for each in after)
    data = chunk(b"IDAT", zlib.compress(raw))
    return SIGNATURE + chunk(b"IHDR", header) + middle + data + end + chunk(b"IEND", b"")


def _filtered(values: NDArray[Any], bits: int) -> bytes:
    """Return the rows, each behind filter type 0."""
    return b"".join(b"\0" + packed_samples(row[None], bits) for row in values)
