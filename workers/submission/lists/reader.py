"""Read lists of images: files of rows, of paths or of messages, and the lines of standard input."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from panopticon.errors import UsageError
from panopticon.messages import ImageMessage
from workers.submission.lists.header import (
    BY_POSITION,
    SEPARATORS,
    Layout,
    header_of,
    layout_of,
    separator_of_line,
    values_of,
)
from workers.submission.lists.rows import (
    begins_like_path,
    check_not_uri,
    checked_path,
    decoded_message,
    is_url,
    is_windows_path,
    item_of_row,
)
from workers.submission.lists.text import check_encoding, ends_with_cr, split_at_cr, text_of, unmarked

STDIN_NAME = "standard input"
_PERHAPS_A_ROW = re.compile(rb":[/\\]|,\s*(?:,|$)")
"""The marks of a row that few paths have: a URI, a path of Windows, or an empty column."""
_LAYOUTS = {one: Layout(separator=one, columns=BY_POSITION, named=True) for one in SEPARATORS}
"""The layouts of single rows between paths, where a value that stands alone is an ID."""
_FAULTS = {
    "end of data": 'a quote opens here and is never closed; close it, or write "" for a quote inside a value',
    "expected after": 'a quote opens here, and text follows where it is closed; write "" for a quote inside '
    "a value",
    "field limit": f"a value has more than {csv.field_size_limit()} characters; is a quote not closed?",
    "new-line": "a carriage return in the middle; end each line with a line feed",
}
"""The words for the errors of the module `csv`, by a part of its own message."""
_JSON_ARRAY = re.compile(r"\s*\[\s*(?:\{|$)")
LOOK_AHEAD = 1000
"""Lines among which zero bytes are looked for. It delays nothing: all is sent after the last line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a list."""

    line: int
    """The line's number, counted from 1; in a list with zero bytes, the path's number."""
    item: ImageMessage | bytes
    """The image that the line names, or the bytes of a path."""


def read_file(lines: Iterable[bytes], source: str) -> Iterator[Listed]:
    """Read a list file: rows, unless its first line is a path or a message, then as `read_stdin`.

    Raises: UsageError naming `source`, the line and what is wrong with it.
    """
    return _read(lines, source, a_value_is_an_id=True)


def read_stdin(lines: Iterable[bytes]) -> Iterator[Listed]:
    """Read each line by itself: `{…` is an ImageMessage, `id,scheme://…` or `id,` a row, all else a path.

    If the first line names columns, everything is read as rows; if there are zero bytes, as paths that they
    separate. Raises: UsageError naming the line and what is wrong with it.
    """
    return _read(lines, STDIN_NAME, a_value_is_an_id=False)


def _read(lines: Iterable[bytes], source: str, *, a_value_is_an_id: bool) -> Iterator[Listed]:
    left = iter(lines)
    head = list(islice(left, LOOK_AHEAD))
    if not head:
        return iter(())
    check_encoding(head[0], source)
    every = chain(head, left)
    first = unmarked(next((line for line in head if line.strip()), b""))
    begin = re.split(rb"[\r\n]", first.lstrip(b"\r"), maxsplit=1)[0].decode(errors="replace")
    if _JSON_ARRAY.match(begin) and not os.path.lexists(begin):
        raise UsageError(f"{source}: a JSON array; write one message a line, as jq -c '.[]' does")
    if a_value_is_an_id:
        rows = not (begin.lstrip().startswith("{") or begins_like_path(begin))
    else:
        rows = _names_columns(begin)
    if rows:
        return _read_rows(split_at_cr(every) if ends_with_cr(first) else every, source)
    if any(b"\0" in line for line in head):
        return _read_zero_separated(every)
    return _read_lines(every, source)


def _names_columns(line: str) -> bool:
    if separator_of_line(line):
        return True
    # The line may also be the path of a file.
    return "\0" not in line and header_of(line) is not None and not os.path.lexists(line.strip())


def _read_rows(lines: Iterable[bytes], source: str) -> Iterator[Listed]:
    # Paths may be in any bytes, all else has to be UTF-8, which `item_of_row` checks.
    texts = (unmarked(line).decode(errors="surrogateescape") for line in lines)
    numbered = ((number, text) for number, text in enumerate(texts, start=1) if text.strip())
    number, first = next(numbered, (1, ""))
    separator = separator_of_line(first)
    if separator:
        number, first = next(numbered, (number, ""))
    layout = layout_of(first, f"{source}, line {number}", separator)
    rows = _rows(chain([first], texts), layout, source, before=number - 1)
    if layout.named:
        next(rows)
    for line, fields in rows:
        yield Listed(line=line, item=item_of_row(fields, layout, f"{source}, line {line}"))


def _rows(
    texts: Iterable[str], layout: Layout, source: str, *, before: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the number of its first line.

    `before`: number of lines before the first of `texts`. Raises: UsageError where the text is not CSV.
    """
    reader = csv.reader(texts, delimiter=layout.separator, skipinitialspace=True, strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"{source}, line {line}: {_fault(error)}") from None
        if any(field.strip() for field in fields):
            yield line, fields


def _fault(error: csv.Error) -> str:
    text = str(error)
    return next((words for mark, words in _FAULTS.items() if mark in text), f"not CSV: {text}")


def _read_lines(lines: Iterable[bytes], source: str) -> Iterator[Listed]:
    for number, line in enumerate(lines, start=1):
        bare = unmarked(line.removesuffix(b"\n").removesuffix(b"\r"))
        if bare.strip():
            yield Listed(line=number, item=_item_of_line(bare, number, source))


def _item_of_line(line: bytes, number: int, source: str) -> ImageMessage | bytes:
    where = f"{source}, line {number}"
    if line.lstrip().startswith(b"{"):
        return decoded_message(line, where)
    if _PERHAPS_A_ROW.search(line):
        text = line.decode(errors="surrogateescape")
        separator = next((one for one in SEPARATORS if _is_row(text, one)), None)
        if separator:
            layout = _LAYOUTS[separator]
            ((_, fields),) = _rows([text_of(line, where)], layout, source, before=number - 1)
            return item_of_row(fields, layout, where)
        if not os.path.lexists(line.split(b"\0")[0]):
            check_not_uri(text, where)
    return checked_path(line, where)


def _is_row(text: str, separator: str) -> bool:
    # A path may have a comma or a semicolon in it too, but no URI after it.
    _, *rest = values_of(text, separator)
    if not rest:
        return False
    if rest[0]:
        return is_url(rest[0]) or is_windows_path(rest[0])
    return separator == "," and (not any(rest) or not os.path.lexists(text))


def _read_zero_separated(lines: Iterable[bytes]) -> Iterator[Listed]:
    """Read paths as `find -print0` writes them: a zero byte ends each, and line feeds belong to them."""
    number, begun = 0, b""
    for index, line in enumerate(lines):
        *complete, begun = (begun + (line if index else unmarked(line))).split(b"\0")
        for path in complete:
            number += 1
            if path:
                yield Listed(line=number, item=path)
    # Some programs write no zero byte after the last path, and some a line feed after it.
    if begun.strip():
        yield Listed(line=number + 1, item=begun)
