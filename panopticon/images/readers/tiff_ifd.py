"""Reading a TIFF directory (IFD): it holds the header of a TIFF file, and the orientation in EXIF.

Pillow reads directories too, but it warns about broken ones, and warnings cannot be caught safely while other
threads decode. So the mistakes that it would warn about are found here first.
Source: TIFF 6.0, section 2; BigTIFF as in the libtiff design document.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

WIDTH = 256
HEIGHT = 257
BITS_PER_SAMPLE = 258
ORIENTATION = 274
TILE_WIDTH = 322
TILE_HEIGHT = 323
SUB_DIRECTORIES = 330

_MAX_DIRECTORIES = 32
_MAX_ENTRIES = 1000
_MAX_VALUES = 16

_SINGLE_VALUED = frozenset(
    {WIDTH, HEIGHT, 259, 262, 266, ORIENTATION, 277, 278, 282, 283, 284, 296, 322, 323}
)
_OPAQUE = frozenset({347, 34675})
"""Tags whose values are bytes: JPEG tables and the ICC profile."""
_BYTE_KINDS = frozenset({1, 2, 7})
_VALUE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_INTEGERS = {1: "B", 3: "H", 4: "L", 16: "Q"}
_OFFSETS = {**_INTEGERS, 13: "L", 18: "Q"}


class DirectoryError(ValueError):
    """A directory that is missing or broken. `truncated`: it points past the end of the bytes."""

    def __init__(self, detail: str, *, truncated: bool = False) -> None:
        super().__init__(detail)
        self.truncated = truncated


@dataclass(frozen=True, slots=True)
class _Layout:
    """The byte order and the widths of a directory's numbers."""

    order: Literal["<", ">"]
    count: Literal["H", "Q"]
    word: Literal["L", "Q"]

    def number(self, encoded: bytes, at: int, code: str) -> int:
        try:
            (value,) = struct.unpack_from(self.order + code, encoded, at)
        except (struct.error, OverflowError) as error:
            raise DirectoryError("directory ends early", truncated=True) from error
        return int(value)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tag and the place of its values."""

    tag: int
    kind: int
    count: int
    values_at: int
    outside_bytes: int
    """Size of values that do not fit into the entry; 0 if they do."""


def first_directory(encoded: bytes) -> Mapping[int, int]:
    """Return the first value of each tag of the first directory that holds whole numbers.

    Raises: DirectoryError if it is incomplete, its values overlap, or a single-valued tag has several.
    """
    layout, at = _header(encoded)
    tags: dict[int, int] = {}
    outside_bytes = 0
    for entry in _entries(encoded, layout, at):
        outside_bytes += entry.outside_bytes
        _check(entry, len(encoded))
        if entry.kind in _INTEGERS and entry.count:
            tags.setdefault(entry.tag, layout.number(encoded, entry.values_at, _INTEGERS[entry.kind]))
    if outside_bytes > len(encoded):
        raise DirectoryError("the values of several tags overlap")
    return tags


def orientation_of(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if there is none or it cannot be read.

    Other tags may be broken, as they are in many photos.
    """
    # Most images have no EXIF at all.
    if not exif:
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    try:
        layout, at = _header(tiff)
        found = (entry for entry in _entries(tiff, layout, at) if entry.tag == ORIENTATION)
        value = next((layout.number(tiff, entry.values_at, "H") for entry in found if entry.kind == 3), 1)
    except DirectoryError:
        return 1
    return value if 1 <= value <= 8 else 1


def bits_of(tiff: bytes) -> int:
    """Return the bits of a TIFF's first sample; 16 if it gives no number from 1 to 16."""
    value = first_directory(tiff).get(BITS_PER_SAMPLE, 16)
    return value if 1 <= value <= 16 else 16


def directories(encoded: bytes) -> Iterator[Mapping[int, tuple[int, ...]]]:
    """Yield the first whole-number values of each tag, for each directory that can be found in the file.

    Values past the end of the file are missing.
    """
    for layout, entries in _all_entries(encoded):
        tags = {}
        for entry in entries:
            with suppress(DirectoryError):
                tags[entry.tag] = _whole_numbers(encoded, layout, entry)
        yield tags


def check_values(encoded: bytes) -> None:
    """Raise DirectoryError if a tag of a directory that can be found has values past the end of the file."""
    for _, entries in _all_entries(encoded):
        # The offset of a next directory may be anything in a file that has none.
        if any(entry.kind not in _VALUE_BYTES for entry in entries):
            continue
        for entry in entries:
            if entry.outside_bytes and entry.values_at + entry.outside_bytes > len(encoded):
                raise DirectoryError(f"tag {entry.tag} lies past the end", truncated=True)


def _all_entries(encoded: bytes) -> Iterator[tuple[_Layout, list[_Entry]]]:
    """Yield the entries of each directory of the file.

    Directories follow one another or lie in the tag SUB_DIRECTORIES of another; of a broken chain the rest is
    missing.
    """
    try:
        layout, first_at = _header(encoded)
    except DirectoryError:
        return
    waiting, seen = [first_at], {0}
    while waiting and len(seen) <= _MAX_DIRECTORIES:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        entries: list[_Entry] = []
        with suppress(DirectoryError):
            entries.extend(islice(_entries(encoded, layout, at), _MAX_ENTRIES))
        with suppress(DirectoryError):
            waiting.append(_next_at(encoded, layout, at))
        with suppress(DirectoryError):
            for entry in entries:
                if entry.tag == SUB_DIRECTORIES:
                    waiting += _whole_numbers(encoded, layout, entry)
        yield layout, entries


def _whole_numbers(encoded: bytes, layout: _Layout, entry: _Entry) -> tuple[int, ...]:
    """Return the first values of a tag that holds whole numbers, else none."""
    code, step = _OFFSETS.get(entry.kind), _VALUE_BYTES.get(entry.kind, 0)
    places = range(min(entry.count, _MAX_VALUES)) if code else ()
    return tuple(layout.number(encoded, entry.values_at + step * place, code or "B") for place in places)


def _next_at(encoded: bytes, layout: _Layout, at: int) -> int:
    """Return the offset of the directory after this one, 0 for the last."""
    entries_at = at + struct.calcsize(layout.order + layout.count)
    entry_bytes = 4 + 2 * struct.calcsize(layout.order + layout.word)
    count = layout.number(encoded, at, layout.count)
    return layout.number(encoded, entries_at + count * entry_bytes, layout.word)


def _header(encoded: bytes) -> tuple[_Layout, int]:
    """Return the layout and the offset of the first directory."""
    order: Literal["<", ">"]
    if encoded.startswith(b"II"):
        order = "<"
    elif encoded.startswith(b"MM"):
        order = ">"
    else:
        raise DirectoryError("no TIFF header")
    # The number 43 marks a BigTIFF, whose offsets have 8 bytes.
    if _Layout(order, "H", "L").number(encoded, 2, "H") == 43:
        big = _Layout(order, "Q", "Q")
        return big, big.number(encoded, 8, "Q")
    small = _Layout(order, "H", "L")
    return small, small.number(encoded, 4, "L")


def _entries(encoded: bytes, layout: _Layout, at: int) -> Iterator[_Entry]:
    first_at = at + struct.calcsize(layout.order + layout.count)
    word_bytes = struct.calcsize(layout.order + layout.word)
    for index in range(layout.number(encoded, at, layout.count)):
        entry_at = first_at + index * (4 + 2 * word_bytes)
        kind = layout.number(encoded, entry_at + 2, "H")
        count = layout.number(encoded, entry_at + 4, layout.word)
        values_at = entry_at + 4 + word_bytes
        size = count * _VALUE_BYTES.get(kind, 0)
        outside = size > word_bytes
        yield _Entry(
            tag=layout.number(encoded, entry_at, "H"),
            kind=kind,
            count=count,
            values_at=layout.number(encoded, values_at, layout.word) if outside else values_at,
            outside_bytes=size if outside else 0,
        )


def _check(entry: _Entry, file_bytes: int) -> None:
    if entry.outside_bytes and entry.values_at + entry.outside_bytes > file_bytes:
        raise DirectoryError(f"tag {entry.tag} lies past the end", truncated=True)
    if entry.tag in _SINGLE_VALUED and entry.count != 1:
        raise DirectoryError(f"tag {entry.tag} has {entry.count} values instead of one")
    if entry.tag in _OPAQUE and entry.kind not in _BYTE_KINDS:
        raise DirectoryError(f"tag {entry.tag} is of kind {entry.kind} instead of bytes")
