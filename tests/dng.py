"""Camera RAW files for tests: DNG with the data of a sensor that sees linear sRGB."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BYTE, _TEXT, _SHORT, _LONG, _RATIONAL, _SIGNED_RATIONAL = 1, 2, 3, 4, 5, 10
_CODES = {_BYTE: "B", _TEXT: "B", _SHORT: "H", _LONG: "L", _RATIONAL: "L", _SIGNED_RATIONAL: "l"}
_SRGB_FROM_XYZ = (
    (32405, -15371, -4985),
    (-9693, 18760, 416),
    (556, -2040, 10572),
)
_Tag = tuple[int, int, Sequence[int]]


def dng(
    photo: Image.Image,
    *,
    preview: bytes = b"",
    preview_px: tuple[int, int] = (0, 0),
    orientation: int = 1,
    thumbnail: Image.Image | None = None,
    claimed_px: tuple[int, int] | None = None,
) -> bytes:
    """Return a DNG of the photo, uncompressed, with a thumbnail of 160 x 120 and perhaps a JPEG preview.

    claimed_px: width and height in the header, if they differ from the photo's.
    """
    small = (thumbnail or photo).resize((160, 120))
    sensor = _mosaic(photo)
    blocks = [small.tobytes(), sensor, preview]
    at = 8
    places = []
    for block in blocks:
        places.append(at)
        at += len(block) + len(block) % 2
    raw = _directory(
        at,
        [
            (254, _LONG, [0]),
            *_size(claimed_px or photo.size),
            (258, _SHORT, [16]),
            (259, _SHORT, [1]),
            (262, _SHORT, [32803]),
            (273, _LONG, [places[1]]),
            (277, _SHORT, [1]),
            (278, _LONG, [(claimed_px or photo.size)[1]]),
            (279, _LONG, [len(sensor)]),
            (33421, _SHORT, [2, 2]),
            (33422, _BYTE, [0, 1, 1, 2]),
            (50714, _SHORT, [0]),
            (50717, _LONG, [65535]),
        ],
    )
    subs = [at]
    body = raw
    if preview:
        subs.append(at + len(body))
        body += _directory(
            subs[1],
            [
                (254, _LONG, [1]),
                *_size(preview_px),
                (258, _SHORT, [8, 8, 8]),
                (259, _SHORT, [7]),
                (262, _SHORT, [6]),
                (273, _LONG, [places[2]]),
                (277, _SHORT, [3]),
                (278, _LONG, [preview_px[1]]),
                (279, _LONG, [len(preview)]),
            ],
        )
    first_at = at + len(body)
    body += _directory(
        first_at,
        [
            (254, _LONG, [1]),
            *_size(small.size),
            (258, _SHORT, [8, 8, 8]),
            (259, _SHORT, [1]),
            (262, _SHORT, [2]),
            (271, _TEXT, b"Panopticon\0"),
            (272, _TEXT, b"Test camera\0"),
            (273, _LONG, [places[0]]),
            (274, _SHORT, [orientation]),
            (277, _SHORT, [3]),
            (278, _LONG, [small.height]),
            (279, _LONG, [len(blocks[0])]),
            (330, _LONG, subs),
            (50706, _BYTE, [1, 4, 0, 0]),
            (50707, _BYTE, [1, 1, 0, 0]),
            (50708, _TEXT, b"Test camera\0"),
            (
                50721,
                _SIGNED_RATIONAL,
                [part for row in _SRGB_FROM_XYZ for value in row for part in (value, 10000)],
            ),
            (50728, _RATIONAL, [1, 1, 1, 1, 1, 1]),
            (50778, _SHORT, [21]),
        ],
    )
    data = b"".join(block + bytes(len(block) % 2) for block in blocks)
    return b"II*\0" + struct.pack("<L", first_at) + data + body


def _mosaic(photo: Image.Image) -> bytes:
    """Return what a sensor with a red, green, green and blue filter sees of the photo, as linear light."""
    value = np.asarray(photo.convert("RGB")) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = linear[:, :, 1].copy()
    seen[0::2, 0::2] = linear[0::2, 0::2, 0]
    seen[1::2, 1::2] = linear[1::2, 1::2, 2]
    values: NDArray[np.uint16] = np.rint(seen * 65535).astype("<u2")
    return values.tobytes()


def _size(size_px: tuple[int, int]) -> list[_Tag]:
    return [(256, _LONG, [size_px[0]]), (257, _LONG, [size_px[1]])]


def _directory(at: int, tags: Sequence[_Tag]) -> bytes:
    """Return a directory that will lie at byte `at`, with the values that do not fit after it."""
    after_at = at + 2 + 12 * len(tags) + 4
    entries, after = b"", b""
    for tag, kind, values in tags:
        packed = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        count = len(values) // (2 if kind in (_RATIONAL, _SIGNED_RATIONAL) else 1)
        if len(packed) > 4:
            place = struct.pack("<L", after_at + len(after))
            after += packed + bytes(len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack("<HHL", tag, kind, count) + place
    return struct.pack("<H", len(tags)) + entries + bytes(4) + after
