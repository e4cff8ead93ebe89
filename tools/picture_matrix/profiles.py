"""ICC profiles of our own: version 2, by ICC.1:2001-04."""

from __future__ import annotations

import itertools
import struct

import numpy as np

from tools.picture_matrix.picture import D50, SRGB, Floats, as_bytes, linear


def rgb_profile(matrix: Floats, gamma: float) -> bytes:
    """Return a display profile with these primaries and a power curve."""
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)
    tags = [*_common(), *((name, _xyz(column)) for name, column in columns)]
    return _profile(b"RGB ", [*tags, *((name, _curve(gamma)) for name in (b"rTRC", b"gTRC", b"bTRC"))])


def grey_profile(gamma: float) -> bytes:
    """Return a profile of one channel with a power curve."""
    return _profile(b"GRAY", [*_common(), (b"kTRC", _curve(gamma))])


def cmyk_profile() -> bytes:
    """Return a printer's profile whose table says that paper shows (1 - ink) × (1 - black) of white."""
    return _profile(b"CMYK", [*_common(), (b"A2B0", _ink_table(9))], pcs=b"Lab ", kind=b"prtr")


def _ink_table(points: int) -> bytes:
    """Return a `lut8Type` from CMYK to Lab with `points` grid points a side."""
    steps = np.linspace(0, 1, points)
    grid = np.array(list(itertools.product(steps, repeat=4)))
    relative = (linear((1 - grid[:, :3]) * (1 - grid[:, 3:])) @ SRGB.T) / D50
    root = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    x, y, z = root.T
    lab = np.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128], axis=-1)
    table = as_bytes(lab).tobytes()
    identity = b"".join(_fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    curve = bytes(range(256))
    return b"mft1\0\0\0\0" + bytes([4, 3, points, 0]) + identity + curve * 4 + table + curve * 3


def _common() -> list[tuple[bytes, bytes]]:
    name = b"made for tests\0"
    return [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)),
        (b"cprt", b"text\0\0\0\0none\0"),
        (b"wtpt", _xyz(D50)),
    ]


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(float(value)) for value in values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _profile(
    space: bytes, tags: list[tuple[bytes, bytes]], *, pcs: bytes = b"XYZ ", kind: bytes = b"mntr"
) -> bytes:
    table, data, at = b"", b"", 132 + 12 * len(tags)
    for name, body in tags:
        table += name + struct.pack(">II", at + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    head = struct.pack(">I4xI", at + len(data), 0x02400000) + kind + space + pcs
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += b"".join(_fixed(float(value)) for value in D50)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + data
