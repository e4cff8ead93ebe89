"""A TIFF writer for every layout that the format has: TIFF 6.0, and BigTIFF as libtiff defines it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

NONE, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2

BYTE, SHORT, LONG, UNDEFINED, LONG8 = 1, 3, 4, 7, 16
_CODES = {BYTE: "B", SHORT: "H", LONG: "L", UNDEFINED: "B", LONG8: "Q"}

Order = Literal["<", ">"]
"""Little-endian or big-endian."""

Tag = tuple[int, int, Sequence[int]]
"""A tag's number, its type, and its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The order in which the samples are stored."""

    order: Order = "<"
    big: bool = False
    """BigTIFF."""
    tiled: bool = False
    """Tiles of 16 × 16 pixels instead of strips."""
    planar: bool = False
    """Each channel apart."""
    rows: int = 0
    """Rows in a strip; 0 for one strip."""
    compression: int = NONE
    predictor: int = 1

    def __str__(self) -> str:
        order = "II" if self.order == "<" else "MM"
        blocks = "tiles" if self.tiled else "strips" if self.rows else "one-strip"
        packed = {
            NONE: "raw",
            LZW: "lzw",
            DEFLATE: "deflate",
            PACKBITS: "packbits",
            OLD_DEFLATE: "deflate-old",
        }
        parts = [order, blocks, "planar" if self.planar else "chunky", packed[self.compression]]
        if self.predictor > 1:
            parts.append(f"predictor{self.predictor}")
        return "/".join([*parts, *(["big"] if self.big else [])])


def tiff(
    samples: NDArray[Any],
    *,
    bits: int,
    photometric: int,
    layout: Layout | None = None,
    sample_format: int = UNSIGNED,
    extra: Sequence[Tag] = (),
) -> bytes:
    """Encode samples, (H, W) or (H, W, S), as a TIFF of one page."""
    layout = layout or Layout()
    values = samples if samples.ndim == 3 else samples[..., None]
    height, width, channels = values.shape
    planes = [values[..., at : at + 1] for at in range(channels)] if layout.planar else [values]
    blocks = [_packed(block, bits, layout) for plane in planes for block in _blocks(plane, layout)]
    tags: list[Tag] = [
        (256, LONG, [width]),
        (257, LONG, [height]),
        (258, SHORT, [bits] * channels),
        (259, SHORT, [layout.compression]),
        (262, SHORT, [photometric]),
        (277, SHORT, [channels]),
        (284, SHORT, [2 if layout.planar else 1]),
        *extra,
    ]
    if sample_format != UNSIGNED:
        tags.append((339, SHORT, [sample_format] * channels))
    if layout.predictor > 1:
        tags.append((317, SHORT, [layout.predictor]))
    if layout.tiled:
        tags += [(322, SHORT, [16]), (323, SHORT, [16])]
    else:
        tags.append((278, LONG, [layout.rows or height]))
    return assemble([(tags, blocks)], order=layout.order, big=layout.big)


def assemble(
    pages: Sequence[tuple[Sequence[Tag], Sequence[bytes]]],
    *,
    order: Order = "<",
    big: bool = False,
    signature: bytes = b"",
) -> bytes:
    """Return a file of chained pages, each with its tags and its encoded strips or tiles.

    signature: bytes behind the header, such as those of a camera's format.
    """
    word = "Q" if big else "L"
    link = 8 if big else 4
    file = bytearray(b"II" if order == "<" else b"MM")
    file += struct.pack(order + ("HHHQ" if big else "HL"), *((43, 8, 0, 0) if big else (42, 0)))
    file += signature
    for tags, blocks in pages:
        offsets = []
        for block in blocks:
            offsets.append(len(file))
            file += block + bytes(len(block) % 2)
        tiled = any(number == 322 for number, _, _ in tags)
        places: list[Tag] = [
            (324 if tiled else 273, LONG8 if big else LONG, offsets),
            (325 if tiled else 279, LONG, [len(block) for block in blocks]),
        ]
        at, entries = directory(sorted([*tags, *(places if blocks else [])]), len(file), order, big)
        struct.pack_into(order + word, file, link, at)
        file += entries
        # The last word of a directory is the place of the next one.
        link = len(file) - struct.calcsize(order + word)
        if struct.unpack_from(order + word, file, link) != (0,):
            raise AssertionError("the directory does not end with an empty link")
    return bytes(file)


def directory(tags: Sequence[Tag], start: int, order: str, big: bool) -> tuple[int, bytes]:
    """Return the place of a directory, and its values followed by its entries, which lie at `start`."""
    word, count = ("Q", "Q") if big else ("L", "H")
    inline = struct.calcsize(order + word)
    outside, entries = bytearray(), bytearray()
    for number, kind, values in tags:
        raw = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
        entries += struct.pack(order + "HH" + word, number, kind, len(values))
        if len(raw) <= inline:
            entries += raw + bytes(inline - len(raw))
        else:
            entries += struct.pack(order + word, start + len(outside))
            outside += raw + bytes(len(raw) % 2)
    body = struct.pack(order + count, len(tags)) + entries + struct.pack(order + word, 0)
    return start + len(outside), bytes(outside) + body


def _blocks(plane: NDArray[Any], layout: Layout) -> list[NDArray[Any]]:
    """Cut one plane, or all channels together, into strips or tiles."""
    height, width = plane.shape[:2]
    if not layout.tiled:
        rows = layout.rows or height
        return [plane[top : top + rows] for top in range(0, height, rows)]
    padded = np.pad(plane, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    return [
        padded[top : top + 16, left : left + 16]
        for top in range(0, height, 16)
        for left in range(0, width, 16)
    ]


def _packed(block: NDArray[Any], bits: int, layout: Layout) -> bytes:
    """Encode one strip or tile."""
    if layout.predictor == 3:
        raw = float_differences(block)
    else:
        if layout.predictor == 2:
            block = np.concatenate([block[:, :1], block[:, 1:] - block[:, :-1]], axis=1)
        raw = packed_samples(block, bits, layout.order)
    if layout.compression == LZW:
        return lzw(raw)
    if layout.compression == PACKBITS:
        return packbits(raw)
    return zlib.compress(raw) if layout.compression in (DEFLATE, OLD_DEFLATE) else raw


def packed_samples(block: NDArray[Any], bits: int, order: Order = ">") -> bytes:
    """Return samples as bytes; depths that are not whole bytes are packed, each row padded to a byte."""
    if bits == block.dtype.itemsize * 8:
        return block.astype(block.dtype.newbyteorder(order)).tobytes()
    rows = block.reshape(block.shape[0], -1).astype(np.uint64)
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    each_bit = ((rows[..., None] >> shifts) & np.uint64(1)).astype(np.uint8)
    return np.packbits(each_bit.reshape(len(rows), -1), axis=1).tobytes()


def float_differences(block: NDArray[Any]) -> bytes:
    """Return the differences of predictor 3: of bytes by significance (TIFF Technical Note 3)."""
    height, width, channels = block.shape
    rows = block.reshape(height, width * channels)
    by_byte = rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8).reshape(height, width * channels, -1)
    planes = by_byte.transpose(0, 2, 1).reshape(height, -1)
    return np.concatenate(
        [planes[:, :channels], planes[:, channels:] - planes[:, :-channels]], axis=1
    ).tobytes()


def lzw(raw: bytes) -> bytes:
    """Return valid TIFF LZW that compresses nothing: codes of 9 bits, the table cleared before it grows."""
    codes: list[int] = []
    for at in range(0, len(raw), 250):
        codes += [256, *raw[at : at + 250]]
    return packed_samples(np.array([[*codes, 257]], dtype=np.uint16), 9)


def packbits(raw: bytes) -> bytes:
    """Return PackBits of literal runs only."""
    parts = (raw[at : at + 128] for at in range(0, len(raw), 128))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)
