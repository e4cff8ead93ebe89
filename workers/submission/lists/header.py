"""The first row of a CSV list: what separates the columns, and which column is what."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from panopticon.errors import UsageError
from panopticon.messages import ImageMessage
from workers.submission.lists.text import shown_value, without_spaces

PATH = "path"
MESSAGE_COLUMNS = tuple(ImageMessage.model_fields)
BY_POSITION = ("image_id", "image_uri", "revision")
"""The columns of a list without a header."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}

_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?\s*', re.IGNORECASE)
"""The line that Excel reads and writes in front of a list."""
_OTHER_SEPARATOR_LINE = re.compile(r'"?sep=[^\w\s]', re.IGNORECASE)
_SEMICOLONS = re.compile(r'[^,;]*;\s*(?:"?[A-Za-z][A-Za-z0-9+.-]+://|;|$)')
"""A row that has a URI, or nothing, after its first semicolon."""
_OTHER_SEPARATORS = re.compile(r"[|^~\s\"']+")
"""Characters that other programs put between or around columns."""
_SIMILAR = 0.85
"""Names at least so similar, in difflib's measure, are one name misspelt: image_url and image_uri are."""
_OTHER_NAMES = {
    **dict.fromkeys(("id", "ids", "imageid", "imageids"), "image_id"),
    **dict.fromkeys(("paths", "file", "files", "filename", "filenames", "filepath", "filepaths"), PATH),
}
"""First values that can only be meant as a header, without spaces, hyphens and underscores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The arrangement of a CSV list."""

    separator: str
    columns: Sequence[str]
    """The names of the columns in lower case."""
    named: bool
    """False where nothing states what a value is that stands alone in a row."""


def separator_of_line(line: str) -> str | None:
    """Return the separator that a line such as `sep=;` names; None for any other line."""
    found = _SEPARATOR_LINE.fullmatch(line)
    return found[1] if found else None


def header_of(line: str, separator: str | None = None) -> Layout | None:
    """Return the layout that a line names; None unless one of its values is `image_id` or `path`."""
    for candidate in (separator,) if separator else SEPARATORS:
        names = [name.casefold() for name in values_of(line, candidate)]
        if "image_id" in names or PATH in names:
            return Layout(separator=candidate, columns=names, named=True)
    return None


def layout_of(line: str, where: str, separator: str | None = None) -> Layout:
    """Return the layout of a list by its first row. Raises: UsageError for a header with a mistake in it."""
    header = header_of(line, separator)
    if header:
        _check_columns(header.columns, where)
        return header
    names_columns = not {"image_id", "image_uri"}.isdisjoint(_OTHER_SEPARATORS.split(line.casefold()))
    if names_columns or _OTHER_SEPARATOR_LINE.match(line):
        raise UsageError(
            f"{where}: {shown_value(line.strip())} is a header with another separator; separate all columns "
            "by commas, semicolons or tabs"
        )
    separator = separator or _separator_of_row(line)
    for value in values_of(line, separator):
        meant = _OTHER_NAMES.get(re.sub(r"[\s_-]", "", value.casefold()))
        if meant:
            raise UsageError(
                f"{where}: {shown_value(value)} looks like the name of a column; name it {meant}, "
                "or write a header if it is a value"
            )
    return Layout(separator=separator, columns=BY_POSITION, named=False)


def values_of(line: str, separator: str) -> list[str]:
    """Return the values of one line, without the spaces around them; all of it if it is not CSV."""
    if '"' not in line:
        return [without_spaces(value) for value in line.split(separator)]
    rows = csv.reader([line.rstrip("\r\n")], delimiter=separator, skipinitialspace=True)
    try:
        return [without_spaces(value) for value in next(rows, [])]
    except csv.Error:
        return [line]


def _separator_of_row(line: str) -> str:
    # Neither an ID nor a URI has a tab in it; both may have a semicolon.
    if "\t" in line.strip():
        return "\t"
    return ";" if _SEMICOLONS.match(line.rstrip()) else ","


def _check_columns(names: Sequence[str], where: str) -> None:
    for name in (*MESSAGE_COLUMNS, PATH):
        if names.count(name) > 1:
            raise UsageError(f"{where}: the column {name} is there twice; remove one of them")
    for name in names:
        missing = [column for column in MESSAGE_COLUMNS if column not in names]
        meant = [] if name in MESSAGE_COLUMNS else get_close_matches(name, missing, 1, _SIMILAR)
        if meant:
            raise UsageError(
                f"{where}: the column {shown_value(name)} would be ignored; name it {meant[0]} if it is that "
                "one, or else remove it"
            )
    if PATH in names and "image_uri" not in names:
        _check_path_list(names, where)


def _check_path_list(names: Sequence[str], where: str) -> None:
    if "image_id" in names:
        raise UsageError(
            f"{where}: the columns image_id and path; to keep your own IDs write image_uri in place of path, "
            "such as file:///photos/1.jpg, or else remove image_id"
        )
    other = next((name for name in names if name in MESSAGE_COLUMNS), None)
    if other:
        raise UsageError(
            f"{where}: a list of paths has no column {other}, since files get their IDs and revisions by "
            "themselves; remove it, or name images by image_id and image_uri"
        )
