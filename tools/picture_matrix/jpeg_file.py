"""Parts of JPEG files: encoding by Pillow, and segments put in between."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

from PIL import Image

from tools.picture_matrix.picture import Pixels

XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def jpeg(pixels: Pixels, mode: str | None = None, **options: Any) -> bytes:
    """Encode pixels as a JPEG with little loss and without chroma subsampling."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if mode == "CMYK":
        image = Image.frombytes("CMYK", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    image.save(buffer, "JPEG", **{"quality": 98, "subsampling": 0, **options})
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """Return one segment with its length."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(encoded: bytes, *segments: bytes) -> bytes:
    """Put segments at the start of a JPEG, behind its JFIF header if it has one."""
    at = 2
    if encoded[2:4] == b"\xff\xe0":
        at += 2 + int.from_bytes(encoded[4:6])
    return encoded[:at] + b"".join(segments) + encoded[at:]


def icc_segments(profile: bytes, parts: int = 1) -> list[bytes]:
    """Return the segments that hold a profile, cut into `parts`."""
    size = -(-len(profile) // parts)
    return [
        segment(0xE2, b"ICC_PROFILE\0" + bytes([at + 1, parts]) + profile[at * size : (at + 1) * size])
        for at in range(parts)
    ]


def exif_segment(exif: bytes) -> bytes:
    """Return the segment of EXIF, which brings its own headers."""
    return segment(0xE1, exif)


def segments_of(encoded: bytes) -> tuple[list[bytes], bytes]:
    """Return the segments before the first scan's data, and the rest."""
    at, found = 2, []
    while True:
        size = 2 + int.from_bytes(encoded[at + 2 : at + 4])
        found.append(encoded[at : at + size])
        at += size
        if found[-1][1] == 0xDA:
            return found, encoded[at:]


def joined(segments: Sequence[bytes], rest: bytes) -> bytes:
    """Put a JPEG together."""
    return b"\xff\xd8" + b"".join(segments) + rest
