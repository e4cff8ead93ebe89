"""Reading the boxes of an ISO media file, such as an AVIF: what the picture's colours and its data are.

Nothing here is validated but what is read; the decoder does that. What cannot be read counts as absent.
Sources: ISO/IEC 14496-12 (boxes, `iloc`, `iinf`), ISO/IEC 23008-12 (`ipco`, `ipma`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

_PATH_TO_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_SAMPLE_ENTRY_BYTES = 78
"""Bytes of a visual sample entry before its boxes."""
_MAX_ENTRIES = 4096
"""Boxes of one level, items and extents that are looked at: more than any picture has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The kind of a box, and the place of its content."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A part of the file that holds coded data of an item."""

    start: int
    end: int


def boxes(encoded: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `start` to `end`, up to the first that does not fit."""
    for _ in range(_MAX_ENTRIES):
        if start + 8 > end:
            return
        size, header_bytes = int.from_bytes(encoded[start : start + 4]), 8
        if size == 1:
            size, header_bytes = int.from_bytes(encoded[start + 8 : start + 16]), 16
        box_end = end if size == 0 else start + size
        if box_end < start + header_bytes or box_end > end:
            return
        yield Box(kind=encoded[start + 4 : start + 8], start=start + header_bytes, end=box_end)
        start = box_end


def properties(encoded: bytes) -> list[Box]:
    """Return the properties of the primary item, or of the first track if there is no such item."""
    meta = _meta(encoded)
    own = _properties_of_primary(encoded, meta) if meta else []
    return own or _properties_of_track(encoded)


def extents(encoded: bytes, kind: bytes) -> list[Extent]:
    """Return where the data of the items of one kind, such as `av01`, lie in the file."""
    meta = _meta(encoded)
    if meta is None or b"iloc" not in meta or b"iinf" not in meta:
        return []
    wanted = _items_of(encoded, meta[b"iinf"], kind)
    located = islice(_locations(encoded, meta[b"iloc"]), _MAX_ENTRIES)
    return [extent for item, extent in located if item in wanted]


class _Numbers:
    """A cursor over the unsigned numbers of a box. Past the end, numbers are 0."""

    def __init__(self, encoded: bytes, box: Box) -> None:
        self._encoded, self.at, self._end = encoded, box.start, box.end

    def next(self, size: int) -> int:
        value = int.from_bytes(self._encoded[self.at : min(self.at + size, self._end)])
        self.at += size
        return value

    def ended(self) -> bool:
        return self.at >= self._end


def _meta(encoded: bytes) -> Mapping[bytes, Box] | None:
    """Return the boxes inside `meta` by kind, and those inside `iprp`."""
    meta = next((box for box in boxes(encoded, 0, len(encoded)) if box.kind == b"meta"), None)
    if meta is None:
        return None
    inside = {box.kind: box for box in boxes(encoded, meta.start + 4, meta.end)}
    if b"iprp" in inside:
        parts = boxes(encoded, inside[b"iprp"].start, inside[b"iprp"].end)
        inside |= {box.kind: box for box in parts}
    return inside


def _properties_of_primary(encoded: bytes, meta: Mapping[bytes, Box]) -> list[Box]:
    if not {b"pitm", b"ipco", b"ipma"} <= meta.keys():
        return []
    pitm = _Numbers(encoded, meta[b"pitm"])
    primary = pitm.next(2 if pitm.next(4) >> 24 == 0 else 4)
    known = list(boxes(encoded, meta[b"ipco"].start, meta[b"ipco"].end))
    indices = _associations(encoded, meta[b"ipma"], primary)
    return [known[index - 1] for index in indices if 0 < index <= len(known)]


def _associations(encoded: bytes, ipma: Box, wanted: int) -> list[int]:
    """Return the numbers of an item's properties, from 1."""
    numbers = _Numbers(encoded, ipma)
    version_and_flags = numbers.next(4)
    item_bytes = 2 if version_and_flags >> 24 == 0 else 4
    # The highest bit tells that the property is essential.
    index_bytes, mask = (2, 0x7FFF) if version_and_flags & 1 else (1, 0x7F)
    for _ in range(min(numbers.next(4), _MAX_ENTRIES)):
        item = numbers.next(item_bytes)
        indices = [numbers.next(index_bytes) & mask for _ in range(numbers.next(1))]
        if item == wanted:
            return indices
    return []


def _properties_of_track(encoded: bytes) -> list[Box]:
    start, end = 0, len(encoded)
    for kind in _PATH_TO_SAMPLES:
        box = next((box for box in boxes(encoded, start, end) if box.kind == kind), None)
        if box is None:
            return []
        start, end = box.start, box.end
    entry = next(boxes(encoded, start + 8, end), None)
    return list(boxes(encoded, entry.start + _SAMPLE_ENTRY_BYTES, entry.end)) if entry else []


def _items_of(encoded: bytes, iinf: Box, kind: bytes) -> frozenset[int]:
    count_bytes = 2 if encoded[iinf.start] == 0 else 4
    found = set()
    for box in boxes(encoded, iinf.start + 4 + count_bytes, iinf.end):
        numbers = _Numbers(encoded, box)
        item = numbers.next(2 if numbers.next(4) >> 24 < 3 else 4)
        numbers.next(2)
        if encoded[numbers.at : numbers.at + 4] == kind:
            found.add(item)
    return frozenset(found)


def _locations(encoded: bytes, iloc: Box) -> Iterator[tuple[int, Extent]]:
    """Yield each item's number with each of its extents in the file."""
    numbers = _Numbers(encoded, iloc)
    version, sizes = numbers.next(4) >> 24, numbers.next(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if version else 0
    number_bytes = 2 if version < 2 else 4
    numbers.next(number_bytes)
    while not numbers.ended():
        item = numbers.next(number_bytes)
        method = numbers.next(2) & 15 if version else 0
        numbers.next(2)
        base = numbers.next(base_bytes)
        for _ in range(numbers.next(2)):
            numbers.next(index_bytes)
            start = base + numbers.next(offset_bytes)
            # A length of 0 means up to the end of the file.
            end = start + (numbers.next(length_bytes) or len(encoded))
            # Method 0 counts from the start of the file; encoders use the others for a few bytes only.
            if method == 0:
                yield item, Extent(start=start, end=min(end, len(encoded)))
