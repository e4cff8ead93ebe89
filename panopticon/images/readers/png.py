"""Reading PNG, without the chunks that do not affect its pixels.

Text, time, animation and private chunks are removed before Pillow reads the file: they can hold decompression
bombs (compressed text) and cause warnings (broken animation), and nothing of them is visible.
Source: PNG (Third Edition), section 5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from PIL.PngImagePlugin import PngImageFile

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected

_SIGNATURE_BYTES = 8
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"iCCP", b"IEND"})
_MAX_PROFILE_BYTES = 1024 * 1024


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a PNG. Raises: Rejected (see `Reader`)."""
    return loaded(open_header(PngImageFile, picture_of(encoded), limits))


def picture_of(encoded: bytes) -> bytes:
    """Return the same PNG with only the chunks that are needed to show it.

    Raises: Rejected (`truncated`, `corrupt`).
    """
    whole = memoryview(encoded)
    kept = [whole[:_SIGNATURE_BYTES]]
    for name, start, end in _chunks(encoded):
        if name in _KEPT and not (name == b"iCCP" and _is_bomb(encoded[start + 8 : end - 4])):
            kept.append(whole[start:end])
    return b"".join(kept)


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of every chunk up to the last one, IEND."""
    start = _SIGNATURE_BYTES
    name = b""
    while name != b"IEND":
        name = encoded[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(encoded[start : start + 4])
        if end > len(encoded):
            raise rejected(Reason.TRUNCATED, f"chunk {name!r} at byte {start} ends after the end of the file")
        if (start == _SIGNATURE_BYTES) != (name == b"IHDR"):
            raise rejected(Reason.CORRUPT, f"chunk {name!r} is in a wrong place")
        yield name, start, end
        start = end


def _is_bomb(chunk: bytes) -> bool:
    """Return whether a profile unpacks to more bytes than any real one has, or is not compressed data."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(chunk[chunk.find(b"\0") + 2 :], _MAX_PROFILE_BYTES)
    except zlib.error:
        return True
    return bool(stream.unconsumed_tail)
