"""Turn lists of images into messages: CSV files of IDs and URIs, and lines of standard input."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from panopticon.errors import UsageError
from panopticon.messages import ImageMessage, MessageInvalid, decode_image_message

COLUMNS = ("image_id", "image_uri", "revision")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a list."""

    line: int
    """The line's number, counted from 1."""
    item: ImageMessage | bytes
    """The image that the line names, or the bytes of a path."""


def read_csv(lines: Iterable[bytes], source: str) -> Iterator[Listed]:
    """Read rows `image_id[,image_uri[,revision]]`; a first row that holds `image_id` names other columns.

    Raises: UsageError naming `source`, the line and what is wrong with it.
    """
    # Spreadsheets put a byte-order mark in front of the first line.
    decoded = (
        _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"{source}, line {number}")
        for number, line in enumerate(lines, start=1)
    )
    reader = csv.reader(decoded)
    columns: Sequence[str] = COLUMNS
    filled = (fields for fields in _rows(reader, source) if any(field.strip() for field in fields))
    for number, fields in enumerate(filled):
        header = _header(fields) if number == 0 else None
        if header:
            columns = header
            continue
        where = f"{source}, line {reader.line_num}"
        message = _message_of_row(fields, columns, where, named=columns is not COLUMNS)
        yield Listed(line=reader.line_num, item=message)


def read_mixed(lines: Iterable[bytes], source: str) -> Iterator[Listed]:
    """Read each line by itself: `{…` is an ImageMessage, `id,scheme://…` or `id,` a CSV row, all else a path.

    If the first line names CSV columns, everything is read as CSV.
    Raises: UsageError naming `source`, the line and what is wrong with it.
    """
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        if number == 1 and _names_columns(line):
            yield from read_csv(chain([line], (rest for _, rest in numbered)), source)
            return
        bare = line.removesuffix(b"\n").removesuffix(b"\r")
        if bare.strip():
            yield Listed(line=number, item=_item(bare, f"{source}, line {number}"))


def _item(line: bytes, where: str) -> ImageMessage | bytes:
    if line.lstrip().startswith(b"{"):
        return _decoded_message(line, where)
    # A path may hold a comma too, but no URI after it.
    _, comma, rest = line.partition(b",")
    if comma and (not rest.strip(b", ") or _URL.match(rest.lstrip(b' "'))):
        return _message_of_row(next(csv.reader([_text(line, where)])), COLUMNS, where, named=False)
    return line


def _names_columns(line: bytes) -> bool:
    names = line.removeprefix(b"\xef\xbb\xbf").decode("ascii", "replace").strip().split(",")
    return len(names) > 1 and _header(names) is not None


def _header(fields: Sequence[str]) -> list[str] | None:
    """Return the names of the columns, or None if this is a row of values."""
    names = [field.strip().casefold() for field in fields]
    return names if "image_id" in names else None


def _message_of_row(
    fields: Sequence[str], columns: Sequence[str], where: str, *, named: bool
) -> ImageMessage:
    # Without a header, a further column has no meaning; with one, it has no name and is ignored.
    if not named and len(fields) > len(columns):
        raise UsageError(f"{where}: {len(fields)} columns; a row is {','.join(columns)}")
    row = {name: field.strip() for name, field in zip(columns, fields, strict=False) if field.strip()}
    uri = row.get("image_uri")
    if uri and not _SCHEME.match(uri):
        raise UsageError(f"{where}: {uri!r} is not a URI; a file's URI is file:///its/absolute/path")
    revision = row.get("revision", "0")
    if not (revision.isascii() and revision.isdigit()):
        raise UsageError(f"{where}: revision is {revision!r}; it must be a whole number from 0")
    message = {
        "image_id": row.get("image_id", ""),
        "image_uri": uri,
        # Python refuses to read thousands of digits; such a number is refused with the message's own limits.
        "revision": int(revision) if len(revision) < 20 else 2**63,
    }
    return _decoded_message(json.dumps(message).encode(), where)


def _decoded_message(body: bytes, where: str) -> ImageMessage:
    try:
        return decode_image_message(body)
    except MessageInvalid as error:
        raise UsageError(f"{where}: {error}") from None


def _rows(reader: Iterator[list[str]], source: str) -> Iterator[list[str]]:
    """Yield the reader's rows. Raises: UsageError where the text is not CSV."""
    try:
        yield from reader
    except csv.Error as error:
        raise UsageError(f"{source}: not a CSV file: {error}") from None


def _text(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not UTF-8; write the list in UTF-8") from None
