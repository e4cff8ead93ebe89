"""Checksums of rows, by which changed bytes are found that SQLite itself cannot notice."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

Value = str | bytes | int


def checksum(values: Iterable[Value]) -> int:
    """Return the CRC-32 of the values of a row in the order of their columns."""
    crc = 0
    for value in values:
        content = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        crc = zlib.crc32(content, zlib.crc32(b"%d:" % len(content), crc))
    return crc


def with_checksum(*row: Value) -> tuple[Value, ...]:
    """Return a row with its checksum as the last column."""
    return *row, checksum(row)
