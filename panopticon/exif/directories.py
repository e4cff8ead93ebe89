"""Reading single tags of TIFF directories (IFD), which EXIF consists of, at any place of a file.

`panopticon/images/readers/ifd/directories.py` checks whole directories of a file that is in memory.
Source: TIFF 6.0, section 2; BigTIFF as in the libtiff design document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from panopticon.exif.bounded_file import BoundedFile, ExifError

_MAX_ENTRIES = 2000
_MAX_TEXT_BYTES = 64
_BYTES, _ASCII, _LONG, _RATIONAL, _UNDEFINED, _DIRECTORY, _LONG8, _DIRECTORY8 = 1, 2, 4, 5, 7, 13, 16, 18
VALUE_BYTES = {
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
"""Size of one value of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tag's kind and number of values, and their position after the TIFF header."""

    kind: int
    count: int
    values_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiff:
    """A TIFF structure inside a file. Its positions are relative to its header."""

    file: BoundedFile
    start: int
    order: Literal["little", "big"]
    word_bytes: int
    """The width of positions and counts: 4, and in a BigTIFF 8."""

    @classmethod
    def at(cls, file: BoundedFile, start: int) -> Tiff:
        """Return the structure whose header is at `start`. Raises: ExifError if there is none, or OSError."""
        head = file.read(start, 8)
        if head[:2] not in (b"II", b"MM"):
            raise ExifError("no TIFF header")
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        # Olympus and Panasonic have numbers of their own in place of 42.
        big = int.from_bytes(head[2:4], order) == 43
        return cls(file=file, start=start, order=order, word_bytes=8 if big else 4)

    def first_directory(self) -> Mapping[int, Entry]:
        """Return the entries of the first directory, by tag. Raises: ExifError, OSError."""
        return self.directory(self._number(self.word_bytes, self.word_bytes))

    def directory(self, at: int) -> Mapping[int, Entry]:
        """Return the entries of a directory, by tag, as far as they are there. Raises: ExifError, OSError."""
        count_bytes = 8 if self.word_bytes == 8 else 2
        count = min(self._number(at, count_bytes), _MAX_ENTRIES)
        entry_bytes = 4 + 2 * self.word_bytes
        table = self.file.read_some(self.start + at + count_bytes, count * entry_bytes)
        entries: dict[int, Entry] = {}
        for number in range(len(table) // entry_bytes):
            entry = table[number * entry_bytes :][:entry_bytes]
            tag, kind = (int.from_bytes(entry[place : place + 2], self.order) for place in (0, 2))
            count = int.from_bytes(entry[4 : 4 + self.word_bytes], self.order)
            values_at = at + count_bytes + number * entry_bytes + 4 + self.word_bytes
            # Values that do not fit into the entry are elsewhere.
            if count * VALUE_BYTES.get(kind, 0) > self.word_bytes:
                values_at = int.from_bytes(entry[4 + self.word_bytes :], self.order)
            entries.setdefault(tag, Entry(kind=kind, count=count, values_at=values_at))
        return entries

    def inner_directory(self, entry: Entry | None) -> Mapping[int, Entry]:
        """Return the directory that an entry points to; empty without one. Raises: ExifError, OSError."""
        if entry is None or entry.kind not in (_LONG, _DIRECTORY, _LONG8, _DIRECTORY8):
            return {}
        return self.directory(self._number(entry.values_at, VALUE_BYTES[entry.kind]))

    def text(self, entry: Entry | None) -> bytes:
        """Return the first line of a tag's text, without spaces around it. Raises: ExifError, OSError."""
        if entry is None or entry.kind not in (_BYTES, _ASCII, _UNDEFINED):
            return b""
        found = self.file.read_some(self.start + entry.values_at, min(entry.count, _MAX_TEXT_BYTES))
        return found.split(b"\0", 1)[0].strip()

    def ratios(self, entry: Entry | None, count: int) -> list[float]:
        """Return `count` fractions; empty if the tag has others. Raises: ExifError, OSError."""
        if entry is None or entry.kind != _RATIONAL or entry.count != count:
            return []
        numbers = [self._number(entry.values_at + 4 * place, 4) for place in range(2 * count)]
        if not all(numbers[1::2]):
            return []
        return [over / under for over, under in zip(numbers[::2], numbers[1::2], strict=True)]

    def _number(self, at: int, count: int) -> int:
        return int.from_bytes(self.file.read(self.start + at, count), self.order)
