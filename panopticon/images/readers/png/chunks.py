"""Reading the chunks of a PNG.

Source: PNG (Third Edition), sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from panopticon.images.reasons import FILLED_WITH_ZEROS, Reason, rejected

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_READ = frozenset(
    {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"}
    | {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"}
    | {b"acTL", b"fcTL", b"fdAT"}
)
_BEFORE_DATA = frozenset({b"PLTE", b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
"""Chunks that count only before the first image data: behind them, every program ignores them."""
_MAX_PROFILE_BYTES = 1024 * 1024


class Kind(IntEnum):
    """Colour types (table 8)."""

    GREY = 0
    RGB = 2
    PALETTE = 3
    GREY_ALPHA = 4
    RGB_ALPHA = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The content of IHDR that the reader needs."""

    size_px: tuple[int, int]
    depth: int
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk: its name, and itself whole with length and checksum."""

    name: bytes
    whole: memoryview

    @property
    def content(self) -> bytes:
        """Its data, copied."""
        return bytes(self.whole[8:-4])


def made(name: bytes, content: bytes) -> bytes:
    """Return a whole chunk."""
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def header_of(chunks: Sequence[Chunk]) -> Header:
    """Return the header; what is missing in it is 0, and the decoder refuses that."""
    content = chunks[0].content.ljust(10, b"\0")
    width_px, height_px, depth, kind = struct.unpack(">LLBB", content[:10])
    return Header(size_px=(width_px, height_px), depth=depth, kind=kind)


def unpacks(profile: bytes) -> bool:
    """Return whether the content of an iCCP chunk unpacks to no more bytes than a real profile has."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(profile[profile.find(b"\0") + 2 :], _MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return not stream.unconsumed_tail


def chunks_of(encoded: bytes) -> list[Chunk]:
    """Return every chunk that any reader needs, up to the last one, IEND, where it may stand.

    Raises: Rejected (`truncated`, `corrupt`).
    """
    chunks: list[Chunk] = []
    view = memoryview(encoded)
    start = len(SIGNATURE)
    name = b""
    data_begun = False
    while name != b"IEND":
        name = encoded[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(encoded[start : start + 4])
        if end > len(encoded):
            raise rejected(Reason.TRUNCATED, f"its part at byte {start} ends after the end of the file")
        if name == bytes(4):
            raise rejected(Reason.TRUNCATED, FILLED_WITH_ZEROS)
        if (start == len(SIGNATURE)) != (name == b"IHDR"):
            raise rejected(Reason.CORRUPT, f"its part at byte {start} is in a wrong place")
        chunk = Chunk(name=name, whole=view[start:end])
        data_begun = data_begun or name == b"IDAT"
        if name in _READ and not (data_begun and name in _BEFORE_DATA):
            chunks.append(chunk)
        start = end
    return chunks
