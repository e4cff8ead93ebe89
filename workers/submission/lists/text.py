"""The bytes of a text list: its encoding, its byte-order marks and the ends of its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from panopticon.errors import UsageError
from panopticon.messages import UTF_8_BOM, trimmed

SHOWN_CHARS = 60

_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""The byte-order marks of other encodings, the longer ones first."""
_UTF_16 = re.compile(rb"(?:[^\0]\0){4}|(?:\0[^\0]){4}")
"""The beginning of Latin text in UTF-16 without a mark."""
_OTHER_FILES = (
    (re.compile(rb"PK\x03\x04"), "an Excel workbook or a ZIP archive"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an Excel workbook"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)\b", re.IGNORECASE), "a web page or XML"),
)
"""The beginnings of what is saved or downloaded in place of a list."""
_SECOND_COLUMN = re.compile(r"[,;\t]\s*\"?[A-Za-z][A-Za-z0-9+.-]+://")
_OTHER_COLUMN = re.compile(r"[|\s]\s*\"?[A-Za-z][A-Za-z0-9+.-]+://")
_LONE_CR = re.compile(rb"\r(?!\r*\n|\r*$)")


def check_encoding(first: bytes, source: str) -> None:
    """Raise UsageError if the first line of a list begins one in UTF-16 or UTF-32, or another file."""
    name = next((name for mark, name in _MARKS.items() if first.startswith(mark) and b"\0" in first), None)
    if name is None and _UTF_16.match(first):
        name = "UTF-16"
    if name:
        raise UsageError(
            f"{source}: the text is in {name}; save it as UTF-8 (in Excel: CSV UTF-8), "
            f"or convert it with iconv -f {name} -t UTF-8"
        )
    other = next((name for mark, name in _OTHER_FILES if mark.match(first)), None)
    if other:
        raise UsageError(f"{source}: {other}; save the list as CSV UTF-8")


def ends_with_cr(first: bytes) -> bool:
    """Return whether lines end with CR alone: then what ends with the first LF, or never, is many lines."""
    return bool(_LONE_CR.search(first))


def split_at_cr(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a text whose lines end with CR alone, or with CR LF or LF."""
    for line in lines:
        yield from line.splitlines(keepends=True)


def unmarked(line: bytes) -> bytes:
    """Return a line without byte-order marks in front: files that were joined have them in the middle too."""
    while line.startswith(UTF_8_BOM):
        line = line.removeprefix(UTF_8_BOM)
    return line


def text_of(line: bytes, where: str) -> str:
    """Return a line without its byte-order mark. Raises: UsageError if it is not UTF-8."""
    try:
        return unmarked(line).decode()
    except UnicodeDecodeError:
        raise not_utf_8(where) from None


def not_utf_8(where: str) -> UsageError:
    """Return the error for a line in another encoding, such as that of Windows."""
    return UsageError(f"{where}: not UTF-8; save the list as UTF-8 (in Excel: CSV UTF-8)")


def header_again(where: str, *, named: bool) -> UsageError:
    """Return the error for a header that is not the first row; `named`: the first row is one too."""
    if not named:
        return UsageError(f"{where}: a header has to be the first row; remove the rows above it")
    return UsageError(f"{where}: the header again; remove it, or leave one header if lists were joined")


def without_spaces(value: str) -> str:
    """Return a value of a list, such as an ID, without the spaces and tabs around it."""
    bare = value.strip()
    return bare if bare.isascii() else trimmed(bare)


def shown_value(value: str) -> str:
    """Return the beginning of a value in quotes, for a message of one line."""
    return repr(value[:SHOWN_CHARS])


def holds_columns(value: str) -> bool:
    """Return whether a value has a separator and a URI in it, so that it is a row and not an ID."""
    return _SECOND_COLUMN.search(value) is not None


def holds_other_columns(value: str) -> bool:
    """Return whether a value has a URI after a space or a bar: columns, but for their separator."""
    return _OTHER_COLUMN.search(value) is not None
