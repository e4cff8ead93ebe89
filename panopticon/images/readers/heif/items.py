"""Reading the boxes of HEIF: what the file needs of itself, found before a decoder opens it.

The decoder allocates by the sizes that a file gives, and decodes zeros that a broken copy left without an
error; both are found in the boxes and in the coded data.
Source: ISO/IEC 14496-12 (boxes, `meta`, `iloc`, `iref`) and 23008-12 (`ispe`, `grid`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from panopticon.images.reasons import Reason, rejected

_MAX_EXTENTS = 100_000
"""Pieces of all items together; a phone's photo has about one hundred."""
_IN_FILE = 0
"""The construction method of an item whose bytes are counted from the start of the file."""
_TEXT = b"mime"
"""The type of an item whose own type, such as that of XMP, is a text."""
_BROKEN = "the file is damaged: its list of contents is broken"


@dataclass(frozen=True, slots=True)
class Box:
    """A box and the place of what it contains."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of an item's coded data."""

    item: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The pictures of a HEIF file and what they are made of."""

    kinds: Mapping[int, bytes]
    """The type of each item, such as `hvc1` (coded), `grid` (tiles) or `Exif`."""
    extents: tuple[Extent, ...]
    """Pieces in the file; those inside the `meta` box are not among them."""
    sizes_px: Mapping[int, tuple[int, int]]
    """Width and height of each picture, tile and thumbnail, as coded."""
    parts: Mapping[int, tuple[int, ...]]
    """The tiles of each picture that is made of others."""


def items_of(encoded: bytes) -> Items | None:
    """Return the items of the file, or None if it has none, as a film.

    What follows the list of items is checked by their extents alone, since a phone may append anything.

    Raises: Rejected (`truncated`, `corrupt`, `too_costly`).
    """
    meta = next((box for box in _boxes(encoded, 0, len(encoded)) if box.kind == b"meta"), None)
    if meta is None:
        return None
    try:
        inner = {box.kind: box for box in _boxes(encoded, meta.start + 4, meta.end)}
        return Items(
            kinds=dict(_kinds(encoded, inner.get(b"iinf"))),
            extents=tuple(_extents(encoded, inner.get(b"iloc"))),
            sizes_px=dict(_sizes(encoded, inner.get(b"iprp"))),
            parts=dict(_parts(encoded, inner.get(b"iref"))),
        )
    except (struct.error, IndexError) as error:
        raise rejected(Reason.CORRUPT, _BROKEN) from error


def _boxes(encoded: bytes, at: int, end: int) -> Iterator[Box]:
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
            raise rejected(Reason.CORRUPT, f"the file is damaged: box of {size} bytes at byte {at}")
        if at + size > end:
            missing = at + size - end
            detail = f"the box at byte {at} lacks {missing} bytes"
            if end == len(encoded):
                raise rejected(Reason.TRUNCATED, f"the end of the file is missing: {detail}")
            raise rejected(Reason.CORRUPT, f"the file is damaged: {detail}")
        yield Box(kind, start, at + size)
        at += size


def _sizes(encoded: bytes, box: Box | None) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each item that has a size (`ispe`) among its properties, and that size."""
    if box is None:
        return
    inner = {inner.kind: inner for inner in _boxes(encoded, box.start, box.end)}
    if not {b"ipco", b"ipma"} <= inner.keys():
        return
    properties = list(_boxes(encoded, inner[b"ipco"].start, inner[b"ipco"].end))
    words = _Words(encoded, inner[b"ipma"].start, inner[b"ipma"].end)
    version, flags = words.take(1), words.take(3)
    for _ in range(words.take(4)):
        item = words.take(2 if version < 1 else 4)
        for _ in range(words.take(1)):
            # The highest bit marks a property that a decoder has to understand.
            index = words.take(2) & 0x7FFF if flags & 1 else words.take(1) & 0x7F
            if 0 < index <= len(properties) and properties[index - 1].kind == b"ispe":
                width_px, height_px = struct.unpack_from(">II", encoded, properties[index - 1].start + 4)
                yield item, (width_px, height_px)


def _kinds(encoded: bytes, box: Box | None) -> Iterator[tuple[int, bytes]]:
    """Yield number and type of each item (`iinf` with its `infe` boxes)."""
    if box is None:
        return
    count_bytes = 2 if encoded[box.start] == 0 else 4
    for entry in _boxes(encoded, box.start + 4 + count_bytes, box.end):
        version = encoded[entry.start]
        if entry.kind == b"infe" and version in (2, 3):
            item_bytes = 2 if version == 2 else 4
            item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", encoded, entry.start + 4)
            _check_text(kind, encoded[entry.start + 10 + item_bytes : entry.end])
            yield item, kind


def _check_text(kind: bytes, names: bytes) -> None:
    """Check an item's type, and the name and type of a text: pi-heif 1.4 dies if one of them is not UTF-8."""
    try:
        kind.decode()
        if kind == _TEXT:
            names.decode()
    except UnicodeDecodeError as error:
        raise rejected(Reason.CORRUPT, _BROKEN) from error


def _extents(encoded: bytes, box: Box | None) -> Iterator[Extent]:
    """Yield the pieces of each item that lie in the file (`iloc`)."""
    if box is None:
        return
    words = _Words(encoded, box.start, box.end)
    version = words.take(1)
    words.take(3)
    widths = words.take(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    extents = 0
    for _ in range(words.take(2 if version < 2 else 4)):
        item = words.take(2 if version < 2 else 4)
        method = words.take(2) & 15 if version else _IN_FILE
        elsewhere = words.take(2) != 0
        base = words.take(base_bytes)
        count = words.take(2)
        extents += count
        # Pieces of no bytes each would cost time and no bytes of the file.
        if extents > _MAX_EXTENTS:
            raise rejected(Reason.TOO_COSTLY, f"more than {_MAX_EXTENTS} pieces")
        for _ in range(count):
            words.take(index_bytes if version else 0)
            start = base + words.take(offset_bytes)
            length = words.take(length_bytes)
            if method != _IN_FILE or elsewhere:
                continue
            end = start + length if length else len(encoded)
            if max(start, end) > len(encoded):
                raise rejected(
                    Reason.TRUNCATED,
                    f"the end of the file is missing: a piece of the picture would be at byte {start}",
                )
            yield Extent(item, start, end)


def _parts(encoded: bytes, box: Box | None) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield each picture that is made of others, and these (`iref` of type `dimg`)."""
    if box is None:
        return
    id_bytes = 2 if encoded[box.start] == 0 else 4
    for reference in _boxes(encoded, box.start + 4, box.end):
        if reference.kind == b"dimg":
            words = _Words(encoded, reference.start, reference.end)
            whole = words.take(id_bytes)
            yield whole, tuple(words.take(id_bytes) for _ in range(words.take(2)))


class _Words:
    """Takes numbers of any width, one after the other, from a part of the file."""

    def __init__(self, encoded: bytes, at: int, end: int) -> None:
        self._encoded = encoded
        self._at = at
        self._end = end

    def take(self, width_bytes: int) -> int:
        """Return the next number. Raises: Rejected (`corrupt`) after the end."""
        at = self._at
        self._at = at + width_bytes
        if self._at > self._end:
            raise rejected(Reason.CORRUPT, _BROKEN)
        return int.from_bytes(self._encoded[at : self._at])
