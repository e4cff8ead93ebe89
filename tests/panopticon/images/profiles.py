"""ICC profiles for tests: sRGB, and profiles made from it by moving its primaries."""

from __future__ import annotations

import struct

from PIL import ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _tag(profile: bytes, name: bytes) -> tuple[int, int]:
    """Return offset and size of a tag's content (ICC.1, 7.3)."""
    for index in range(int.from_bytes(profile[128:132])):
        signature, offset, size = struct.unpack_from(">4sLL", profile, 132 + 12 * index)
        if signature == name:
            return offset, size
    raise KeyError(name)


def _with(profile: bytes, contents: dict[bytes, bytes]) -> bytes:
    changed = bytearray(profile)
    for name, content in contents.items():
        offset, size = _tag(profile, name)
        changed[offset : offset + size] = content
    return bytes(changed)


def _content(profile: bytes, name: bytes) -> bytes:
    offset, size = _tag(profile, name)
    return profile[offset : offset + size]


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3l", *(round(value * 65536) for value in values))


def _grey(gamma: float) -> bytes:
    """Make a grey profile of one white point and one curve."""
    white = _xyz(0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">LH2x", 1, round(gamma * 256))
    body_at = 128 + 4 + 2 * 12
    tags = struct.pack(">L4sLL4sLL", 2, b"wtpt", body_at, 20, b"kTRC", body_at + 20, 14)
    head = bytearray(128)
    struct.pack_into(">L4xL4s4s4s", head, 0, body_at + 36, 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head[36:40] = b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + tags + white + curve


SWAPPED = _with(SRGB, {b"rXYZ": _content(SRGB, b"gXYZ"), b"gXYZ": _content(SRGB, b"rXYZ")})
"""sRGB with red for green and green for red."""

WIDE = _with(
    SRGB,
    {
        b"rXYZ": _xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": _xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": _xyz(0.14919, 0.06322, 0.74457),
    },
)
"""The primaries of Adobe RGB (1998), adapted to D50, with the curve of sRGB."""

GREY_GAMMA_1 = _grey(1.0)
"""A grey profile of linear light."""
