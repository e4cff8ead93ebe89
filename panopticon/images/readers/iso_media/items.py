"""Reading the items of HEIF and AVIF files: the pictures, what they are made of and where their data are.

Source: ISO/IEC 14496-12 (`meta`, `iloc`, `iinf`, `iref`) and 23008-12 (`pitm`, `ipco`, `ipma`, `ispe`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from panopticon.images.readers.iso_media.boxes import BROKEN, Box, Numbers, boxes
from panopticon.images.reasons import Reason, rejected

_MAX_EXTENTS = 100_000
"""Pieces of all items together; a phone's photo has about one hundred."""
_MAX_PROPERTIES = 100_000
"""Properties of all items together; a phone's photo has about three hundred."""
_IN_FILE = 0
"""The construction method of an item whose bytes are counted from the start of the file."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of an item's coded data."""

    item: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of an item, such as `hvc1` (coded), `grid` (tiles) or `Exif`."""

    item: int
    kind: bytes
    names: bytes
    """Its name and, for some types, a type in words, as they are in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The pictures of a file and what they are made of."""

    primary: int
    """The item that is shown; 0, the number of none, if the file does not say."""
    kinds: tuple[Kind, ...]
    extents: tuple[Extent, ...]
    """Pieces in the file; those inside the `meta` box are not among them."""
    properties: Mapping[int, tuple[Box, ...]]
    """Properties of each item, such as `ispe` (its size) and `colr` (its colours)."""
    parts: Mapping[int, tuple[int, ...]]
    """The tiles of each picture that is made of others."""

    def extents_of(self, kinds: frozenset[bytes]) -> list[Extent]:
        """Return the pieces of the items of these types."""
        wanted = {kind.item for kind in self.kinds if kind.kind in kinds}
        return [extent for extent in self.extents if extent.item in wanted]


def items_of(encoded: bytes) -> Items | None:
    """Return the items of the file, or None if it has none, as a film.

    What follows the list of items is checked by their extents alone, since a phone may append anything.

    Raises: Rejected (`truncated`, `corrupt`, `too_costly`).
    """
    meta = next((box for box in boxes(encoded, 0, len(encoded)) if box.kind == b"meta"), None)
    if meta is None:
        return None
    try:
        inner = {box.kind: box for box in boxes(encoded, meta.start + 4, meta.end)}
        return Items(
            primary=_primary(encoded, inner.get(b"pitm")),
            kinds=tuple(_kinds(encoded, inner.get(b"iinf"))),
            extents=tuple(_extents(encoded, inner.get(b"iloc"))),
            properties=dict(_properties(encoded, inner.get(b"iprp"))),
            parts=dict(_parts(encoded, inner.get(b"iref"))),
        )
    except (struct.error, IndexError) as error:
        raise rejected(Reason.CORRUPT, BROKEN) from error


def _primary(encoded: bytes, box: Box | None) -> int:
    if box is None:
        return 0
    numbers = Numbers(encoded, box)
    return numbers.take(2 if numbers.take(4) >> 24 == 0 else 4)


def _properties(encoded: bytes, box: Box | None) -> Iterator[tuple[int, tuple[Box, ...]]]:
    """Yield each item that has properties (`ipma`), and these (`ipco`)."""
    if box is None:
        return
    inner = {inner.kind: inner for inner in boxes(encoded, box.start, box.end)}
    if not {b"ipco", b"ipma"} <= inner.keys():
        return
    known = list(boxes(encoded, inner[b"ipco"].start, inner[b"ipco"].end))
    numbers = Numbers(encoded, inner[b"ipma"])
    version, flags = numbers.take(1), numbers.take(3)
    properties = 0
    for _ in range(numbers.take(4)):
        item, count = numbers.take(2 if version < 1 else 4), numbers.take(1)
        properties += count
        if properties > _MAX_PROPERTIES:
            raise rejected(Reason.TOO_COSTLY, f"more than {_MAX_PROPERTIES} properties")
        # The highest bit marks a property that a decoder has to understand.
        indexes = [numbers.take(2) & 0x7FFF if flags & 1 else numbers.take(1) & 0x7F for _ in range(count)]
        yield item, tuple(known[index - 1] for index in indexes if 0 < index <= len(known))


def _kinds(encoded: bytes, box: Box | None) -> Iterator[Kind]:
    """Yield the type of each item (`iinf` with its `infe` boxes)."""
    if box is None:
        return
    count_bytes = 2 if encoded[box.start] == 0 else 4
    for entry in boxes(encoded, box.start + 4 + count_bytes, box.end):
        version = encoded[entry.start]
        if entry.kind == b"infe" and version in (2, 3):
            item_bytes = 2 if version == 2 else 4
            item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", encoded, entry.start + 4)
            yield Kind(item, kind, encoded[entry.start + 10 + item_bytes : entry.end])


def _extents(encoded: bytes, box: Box | None) -> Iterator[Extent]:
    """Yield the pieces of each item that lie in the file (`iloc`)."""
    if box is None:
        return
    numbers = Numbers(encoded, box)
    version = numbers.take(1)
    numbers.take(3)
    widths = numbers.take(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    extents = 0
    for _ in range(numbers.take(2 if version < 2 else 4)):
        item = numbers.take(2 if version < 2 else 4)
        method = numbers.take(2) & 15 if version else _IN_FILE
        elsewhere = numbers.take(2) != 0
        base = numbers.take(base_bytes)
        count = numbers.take(2)
        extents += count
        # Pieces of no bytes each would cost time and no bytes of the file.
        if extents > _MAX_EXTENTS:
            raise rejected(Reason.TOO_COSTLY, f"more than {_MAX_EXTENTS} pieces")
        for _ in range(count):
            numbers.take(index_bytes if version else 0)
            start = base + numbers.take(offset_bytes)
            length = numbers.take(length_bytes)
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
    for reference in boxes(encoded, box.start + 4, box.end):
        if reference.kind == b"dimg":
            numbers = Numbers(encoded, reference)
            whole = numbers.take(id_bytes)
            yield whole, tuple(numbers.take(id_bytes) for _ in range(numbers.take(2)))
