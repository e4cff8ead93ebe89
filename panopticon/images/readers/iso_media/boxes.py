"""Reading the boxes that HEIF and AVIF files consist of, and the numbers in them.

`panopticon/exif/containers.py` looks for one box at a time in a file that is not in memory.
Source: ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from panopticon.images.reasons import Reason, rejected

BROKEN = "the file is damaged: its list of contents is broken"


@dataclass(frozen=True, slots=True)
class Box:
    """A box and the place of what it contains."""

    kind: bytes
    start: int
    end: int


def boxes(encoded: bytes, at: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `at` to `end`.

    Raises: Rejected (`truncated`, `corrupt`) at one that does not fit.
    """
    while at < end:
        # A few bytes more than the boxes are padding. If they are a box's beginning, then what it would
        # contain is missed where it is needed.
        if end - at < 8:
            return
        size, kind = struct.unpack_from(">I4s", encoded, at)
        start = at + 8
        if size == 1:
            if end - start < 8:
                return
            (size,) = struct.unpack_from(">Q", encoded, start)
            start += 8
        elif size == 0:
            size = end - at
        if at + size < start:
            raise rejected(Reason.CORRUPT, f"the file is damaged: its part at byte {at} has {size} bytes")
        if at + size > end:
            missing = at + size - end
            detail = f"its part at byte {at} lacks {missing} bytes"
            if end == len(encoded):
                raise rejected(Reason.TRUNCATED, f"the end of the file is missing: {detail}")
            raise rejected(Reason.CORRUPT, f"the file is damaged: {detail}")
        yield Box(kind, start, at + size)
        at += size


class Numbers:
    """Takes unsigned numbers of any width, one after the other, from a box."""

    def __init__(self, encoded: bytes, box: Box) -> None:
        self._encoded = encoded
        self._at = box.start
        self._end = box.end

    def take(self, width_bytes: int) -> int:
        """Return the next number. Raises: Rejected (`corrupt`) after the end."""
        at = self._at
        self._at = at + width_bytes
        if self._at > self._end:
            raise rejected(Reason.CORRUPT, BROKEN)
        return int.from_bytes(self._encoded[at : self._at])
