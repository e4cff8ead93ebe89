"""Writing TIFF files of any layout, also those that no program here writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tools.picture_matrix.tiff_file import float_differences, lzw, packbits, packed_samples

Samples = NDArray[Any]
"""(height, width) or (height, width, samples of a pixel)."""
Values = int | Sequence[int] | bytes
Order = Literal["<", ">"]

NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
_BYTES, _SHORT, _LONG, _LONG8 = 7, 3, 4, 16
_WIDE = {273, 279, 324, 325, 330, 513, 514}
"""Tags whose values are offsets or sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: its samples and how they are stored."""

    samples: Samples
    photometric: int = 1
    bits: int | None = None
    """Bits of a sample; None: those of the array's type."""
    sample_format: int | None = None
    """1 unsigned, 2 signed, 3 float; None: that of the array's type."""
    planar: bool = False
    rows: int | None = None
    """Rows of a strip; None: all."""
    tile_px: int | None = None
    """Side of a tile; None: strips."""
    compression: int = NONE
    predictor: int = 1
    fill_order: int = 1
    blocks: Sequence[bytes] | None = None
    """Encoded strips or tiles, in place of those made of the samples."""
    tags: Mapping[int, Values | None] = field(default_factory=dict)
    """More tags, or other values; None removes a tag."""
    inside: Sequence[Page] = ()
    """Pages that this one contains (SubIFDs)."""


def tiff(*pages: Page, order: Order = "<", big: bool = False) -> bytes:
    """Return a file of these pages."""
    word = "Q" if big else "L"
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,)))
    out = bytearray(mark + head + bytes(8 if big else 4))
    link = 8 if big else 4
    for page in pages:
        inside = []
        for child in page.inside:
            at, _ = _append(out, child, {}, order, big)
            inside.append(at)
        at, next_link = _append(out, page, {330: inside} if inside else {}, order, big)
        struct.pack_into(order + word, out, link, at)
        link = next_link
    return bytes(out)


def _append(
    out: bytearray, page: Page, more: Mapping[int, Values], order: Order, big: bool
) -> tuple[int, int]:
    """Append one page; return the offsets of its directory and of the link to the next."""
    values = page.samples if page.samples.ndim == 3 else page.samples[..., None]
    height, width, channels = values.shape
    blocks = page.blocks if page.blocks is not None else _blocks(values, page, order)
    offsets = []
    for block in blocks:
        offsets.append(len(out))
        out += block
    out += bytes(len(out) % 2)
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags: dict[int, Values | None] = {
        256: width,
        257: height,
        258: [page.bits or values.dtype.itemsize * 8] * channels,
        259: page.compression,
        262: page.photometric,
        266: page.fill_order,
        277: channels,
        284: 2 if page.planar else 1,
        317: page.predictor,
        339: [page.sample_format or kind] * channels,
    }
    sizes = [len(block) for block in blocks]
    if page.tile_px:
        tags |= {322: page.tile_px, 323: page.tile_px, 324: offsets, 325: sizes}
    else:
        tags |= {273: offsets, 278: page.rows or height, 279: sizes}
    tags |= {**more, **page.tags}
    word, inline = ("Q", 8) if big else ("L", 4)
    entries = b""
    present = sorted((tag, value) for tag, value in tags.items() if value is not None)
    for tag, value in present:
        raw, code, count = _encoded(tag, value, order, big)
        if len(raw) > inline:
            place = struct.pack(order + word, len(out))
            out += raw + bytes(len(raw) % 2)
        else:
            place = raw.ljust(inline, b"\0")
        entries += struct.pack(order + "HH" + word, tag, code, count) + place
    at = len(out)
    out += struct.pack(order + ("Q" if big else "H"), len(present)) + entries
    link = len(out)
    out += bytes(inline)
    return at, link


def _encoded(tag: int, value: Values, order: Order, big: bool) -> tuple[bytes, int, int]:
    if isinstance(value, bytes):
        return value, _BYTES, len(value)
    numbers = [value] if isinstance(value, int) else list(value)
    code, letter = (_LONG8, "Q") if tag in _WIDE and big else (_LONG, "L") if tag in _WIDE else (_SHORT, "H")
    if code == _SHORT and max(numbers, default=0) > 65535:
        code, letter = _LONG, "L"
    return struct.pack(f"{order}{len(numbers)}{letter}", *numbers), code, len(numbers)


def _blocks(values: Samples, page: Page, order: Order) -> list[bytes]:
    height, width, channels = values.shape
    planes = [values[..., [at]] for at in range(channels)] if page.planar else [values]
    blocks = []
    for plane in planes:
        if page.tile_px:
            side = page.tile_px
            whole = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)))
            blocks += [
                whole[top : top + side, left : left + side]
                for top in range(0, height, side)
                for left in range(0, width, side)
            ]
        else:
            rows = page.rows or height
            blocks += [plane[top : top + rows] for top in range(0, height, rows)]
    return [_packed(block, page, order) for block in blocks]


def _packed(block: Samples, page: Page, order: Order) -> bytes:
    if page.predictor == 3:
        raw = float_differences(block)
    else:
        if page.predictor == 2:
            whole = block.view(f"u{block.dtype.itemsize}")
            block = np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
        raw = packed_samples(block, page.bits or block.dtype.itemsize * 8, order)
    packers: dict[int, Callable[[bytes], bytes]] = {LZW: lzw, DEFLATE: zlib.compress, PACKBITS: packbits}
    packed = packers[page.compression](raw) if page.compression != NONE else raw
    return reversed_bits(packed) if page.fill_order == 2 else packed


def reversed_bits(raw: bytes) -> bytes:
    """Return each byte with its bits in reverse order."""
    bits = np.unpackbits(np.frombuffer(raw, np.uint8)).reshape(-1, 8)
    return np.packbits(bits[:, ::-1], axis=1).tobytes()
