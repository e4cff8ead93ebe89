"""Reading TIFF directories (IFD), which TIFF files, most RAW files and EXIF consist of.

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

from panopticon.exif.directories import VALUE_BYTES
from panopticon.images.readers.ifd import tags

MAX_VALUES = 1 << 20
"""Values of one tag that are read; strips and tiles of real pictures are far fewer."""
_MAX_DIRECTORIES = 32
_MAX_ENTRIES = 1000
_FIRST_VALUES = 16

_SINGLE_VALUED = frozenset(
    {
        tags.WIDTH,
        tags.HEIGHT,
        tags.COMPRESSION,
        tags.PHOTOMETRIC,
        tags.FILL_ORDER,
        tags.ORIENTATION,
        tags.SAMPLES_PER_PIXEL,
        tags.ROWS_PER_STRIP,
        tags.X_RESOLUTION,
        tags.Y_RESOLUTION,
        tags.PLANAR,
        tags.RESOLUTION_UNIT,
        tags.TILE_WIDTH,
        tags.TILE_HEIGHT,
    }
)
_OPAQUE = frozenset({tags.JPEG_TABLES, tags.PROFILE})
"""Tags whose values are bytes."""
_BYTE_KINDS = frozenset({1, 2, 7})
_INTEGERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}


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
            raise DirectoryError("its list of tags ends early", truncated=True) from error
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Directory:
    """One directory: the tags of one page."""

    encoded: bytes
    """The whole file."""
    at: int
    """Offset of the directory."""
    next_at: int
    """Offset of the next directory of the chain; 0 after the last."""
    order: Literal["<", ">"]
    """Byte order of all numbers of the file, as in `struct`."""
    entries: Mapping[int, _Entry]

    def values(self, tag: int) -> tuple[int, ...]:
        """Return the values of a tag that holds whole numbers; none if it is missing or of another kind.

        At most `MAX_VALUES` are returned.
        """
        return self._numbers(tag, MAX_VALUES)

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag that holds whole numbers."""
        return next(iter(self._numbers(tag, 1)), default)

    def _numbers(self, tag: int, at_most: int) -> tuple[int, ...]:
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return ()
        code = f"{self.order}{min(entry.count, at_most)}{_INTEGERS[entry.kind]}"
        return struct.unpack_from(code, self.encoded, entry.values_at)

    def raw(self, tag: int) -> bytes | None:
        """Return the value of a tag that holds bytes; None if it is missing or of another kind."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _BYTE_KINDS:
            return None
        return self.encoded[entry.values_at : entry.values_at + entry.count]


def directory_at(encoded: bytes, at: int | None = None) -> Directory:
    """Read the directory at an offset, or the first one.

    Raises: DirectoryError if it is incomplete, its values overlap, or a single-valued tag has several.
    """
    layout, first_at = _header(encoded)
    at = first_at if at is None else at
    entries: dict[int, _Entry] = {}
    outside_bytes = 0
    for entry in _entries(encoded, layout, at):
        outside_bytes += entry.outside_bytes
        _check(entry, len(encoded))
        if entry.count:
            entries.setdefault(entry.tag, entry)
    if outside_bytes > len(encoded):
        raise DirectoryError("the values of several tags overlap")
    return Directory(
        encoded=encoded, at=at, next_at=_next_at(encoded, layout, at), order=layout.order, entries=entries
    )


def starting_at(encoded: bytes, at: int) -> bytes:
    """Return the same file with the directory at `at` as its first one."""
    layout, first_at = _header(encoded)
    if at == first_at:
        return encoded
    word_bytes = struct.calcsize(layout.order + layout.word)
    return encoded[:word_bytes] + struct.pack(layout.order + layout.word, at) + encoded[2 * word_bytes :]


def whole_number(tiff: bytes, tag: int) -> int | None:
    """Return the first value of a tag of the first directory; None if it is absent or not a whole number.

    Other tags may be broken. Raises: DirectoryError if the directory ends before the tag is found.
    """
    layout, at = _header(tiff)
    for entry in _entries(tiff, layout, at):
        if entry.tag == tag:
            code = _INTEGERS.get(entry.kind) if entry.count else None
            return layout.number(tiff, entry.values_at, code) if code else None
    return None


def values_by_directory(encoded: bytes) -> Iterator[Mapping[int, tuple[int, ...]]]:
    """Yield the first whole-number values of each tag, for each directory that can be found in the file.

    Values past the end of the file are missing.
    """
    for layout, entries in _all_entries(encoded):
        values = {}
        for entry in entries:
            with suppress(DirectoryError):
                values[entry.tag] = _whole_numbers(encoded, layout, entry)
        yield values


def check_values(encoded: bytes) -> None:
    """Raise DirectoryError if a tag of a directory that can be found has values past the end of the file."""
    for _, entries in _all_entries(encoded):
        # The offset of a next directory may be anything in a file that has none.
        if any(entry.kind not in VALUE_BYTES for entry in entries):
            continue
        for entry in entries:
            if entry.outside_bytes and entry.values_at + entry.outside_bytes > len(encoded):
                detail = f"the file ends before the values of its tag {entry.tag}"
                raise DirectoryError(detail, truncated=True)


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
                if entry.tag == tags.SUB_DIRECTORIES:
                    waiting += _whole_numbers(encoded, layout, entry)
        yield layout, entries


def _whole_numbers(encoded: bytes, layout: _Layout, entry: _Entry) -> tuple[int, ...]:
    """Return the first values of a tag that holds whole numbers, else none."""
    code, step = _INTEGERS.get(entry.kind), VALUE_BYTES.get(entry.kind, 0)
    places = range(min(entry.count, _FIRST_VALUES)) if code else ()
    return tuple(layout.number(encoded, entry.values_at + step * place, code or "B") for place in places)


def _header(encoded: bytes) -> tuple[_Layout, int]:
    """Return the layout and the offset of the first directory."""
    order: Literal["<", ">"]
    if encoded.startswith(b"II"):
        order = "<"
    elif encoded.startswith(b"MM"):
        order = ">"
    else:
        raise DirectoryError("it does not begin as a TIFF does")
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
        size = count * VALUE_BYTES.get(kind, 0)
        outside = size > word_bytes
        yield _Entry(
            tag=layout.number(encoded, entry_at, "H"),
            kind=kind,
            count=count,
            values_at=layout.number(encoded, values_at, layout.word) if outside else values_at,
            outside_bytes=size if outside else 0,
        )


def _next_at(encoded: bytes, layout: _Layout, at: int) -> int:
    """Return the offset of the next directory; 0 if there is none."""
    count_bytes = struct.calcsize(layout.order + layout.count)
    word_bytes = struct.calcsize(layout.order + layout.word)
    entries_bytes = layout.number(encoded, at, layout.count) * (4 + 2 * word_bytes)
    return layout.number(encoded, at + count_bytes + entries_bytes, layout.word)


def _check(entry: _Entry, file_bytes: int) -> None:
    if entry.outside_bytes and entry.values_at + entry.outside_bytes > file_bytes:
        raise DirectoryError(f"the file ends before the values of its tag {entry.tag}", truncated=True)
    if entry.tag in _SINGLE_VALUED and entry.count != 1:
        raise DirectoryError(f"its tag {entry.tag} has {entry.count} values instead of one")
    if entry.tag in _OPAQUE and entry.kind not in _BYTE_KINDS:
        raise DirectoryError(f"its tag {entry.tag} has values of kind {entry.kind} instead of bytes")
