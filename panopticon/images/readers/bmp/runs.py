"""Unpacking run-length BMP, with four or eight bits a pixel.

Pillow's unpacker loses empty rows, and refuses pictures that end early, as they may.
Source: Windows GDI, bitmap compression.
"""

from __future__ import annotations

from panopticon.images.reasons import Reason, rejected

_END_OF_ROW = 0
_END_OF_PICTURE = 1
_MOVE = 2


def unpacked(packed: bytes, size_px: tuple[int, int], *, bits: int) -> bytes:
    """Return the colour numbers, a byte for each pixel, the bottom row first. Pixels that are left out are 0.

    Raises: Rejected (`truncated`).
    """
    width_px, height_px = size_px
    whole = bytearray(width_px * height_px)
    x = y = at = 0
    while y < height_px:
        pair = packed[at : at + 2]
        if len(pair) < 2:
            if y == height_px - 1 and x >= width_px:
                break
            raise rejected(Reason.TRUNCATED, "the end of the file is missing")
        count, value = pair
        at += 2
        if count:
            _put(whole, (x, y), size_px, _run(value, count, bits))
            x += count
        elif value == _END_OF_ROW:
            x, y = 0, y + 1
        elif value == _END_OF_PICTURE:
            break
        elif value == _MOVE:
            right, up = packed[at : at + 2].ljust(2, b"\0")
            x, y = x + right, y + up
            at += 2
        else:
            # As many pixels as `value` follow, padded to whole words of sixteen bits.
            size = (value * bits + 7) // 8
            _put(whole, (x, y), size_px, _literal(packed[at : at + size], value, bits))
            x += value
            at += size + size % 2
    return bytes(whole)


def _run(value: int, count: int, bits: int) -> bytes:
    """Return one colour, or with four bits two in turn, as often as the count says."""
    colours = bytes([value]) if bits == 8 else bytes([value >> 4, value & 15])
    return (colours * count)[:count]


def _literal(packed: bytes, count: int, bits: int) -> bytes:
    if bits == 8:
        return packed
    return bytes(half for value in packed for half in (value >> 4, value & 15))[:count]


def _put(whole: bytearray, at: tuple[int, int], size_px: tuple[int, int], colours: bytes) -> None:
    """Write colours into a row, without those to the right of the picture."""
    start = at[1] * size_px[0] + at[0]
    kept = colours[: max(0, size_px[0] - at[0])]
    whole[start : start + len(kept)] = kept
