"""The frames of an animated PNG, for animations whose first one is empty.

Source: PNG (Third Edition), section 11.3.6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from panopticon.images.readers.png.chunks import SIGNATURE, Chunk, made

_SHARED = frozenset({b"PLTE", b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"})
_CONTROL_BYTES = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame as a PNG of its own, and its place on the canvas."""

    encoded: bytes
    left_px: int
    top_px: int
    size_px: tuple[int, int]


def frames_of(chunks: Sequence[Chunk]) -> Iterator[Frame]:
    """Yield the frames after the first image, which is the picture that programs without animation show."""
    shared = b"".join(chunk.whole for chunk in chunks if chunk.name in _SHARED)
    control: bytes | None = None
    data: list[bytes] = []
    for chunk in chunks:
        if chunk.name == b"fdAT":
            # Four bytes of sequence number precede the data.
            data.append(chunk.content[4:])
        elif chunk.name in (b"fcTL", b"IEND"):
            if control and data:
                yield _frame(chunks[0], shared, control, b"".join(data))
            control = chunk.content if len(chunk.content) == _CONTROL_BYTES else None
            data = []


def _frame(header: Chunk, shared: bytes, control: bytes, data: bytes) -> Frame:
    width_px, height_px, left_px, top_px = struct.unpack(">4L", control[4:20])
    own_header = made(b"IHDR", control[4:12] + header.content[8:])
    return Frame(
        encoded=SIGNATURE + own_header + shared + made(b"IDAT", data) + made(b"IEND", b""),
        left_px=left_px,
        top_px=top_px,
        size_px=(width_px, height_px),
    )
