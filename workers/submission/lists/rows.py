"""One row of a list, as a message or as the path of a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

from panopticon.errors import UsageError
from panopticon.messages import MAX_REVISION, UTF_8_BOM, ImageMessage, MessageInvalid, decode_image_message
from workers.submission.lists.header import BY_POSITION, MESSAGE_COLUMNS, PATH, SEPARATORS, Layout
from workers.submission.lists.text import (
    SHOWN_CHARS,
    header_again,
    holds_columns,
    holds_other_columns,
    not_utf_8,
    shown_value,
    without_spaces,
)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:|\\\\")
_WHOLE_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")
"""The beginning of a path where an ID such as `a:1` may stand."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PATH_BEGINNINGS = ("/", "./", "../", "~/")
_JSON_LINE = re.compile(r" at line 1 column")
_FAULT_OF_FIELD = re.compile(r"(\w+): (?:Input |String )?((?:should|must) .*)")
"""A fault of one field, in pydantic's words or in those of a check."""


def item_of_row(fields: Sequence[str], layout: Layout, where: str) -> ImageMessage | bytes:
    """Return the image that a row names, or the path. Raises: UsageError saying what is wrong with it."""
    _check_surplus(fields, layout, where)
    values = dict(zip(layout.columns, fields, strict=False))
    if "image_id" not in layout.columns:
        return _path(values.get(PATH, ""), where)
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        raise not_utf_8(where) from None
    row = {name: text for name in MESSAGE_COLUMNS if (text := without_spaces(values.get(name, "")))}
    image_id = row.get("image_id", "")
    if image_id.casefold() == "image_id":
        raise header_again(where, named=layout.named)
    if "image_uri" not in row:
        _check_alone(image_id, layout, where)
    return decoded_message(json.dumps({**row, "image_id": image_id, **_revision(row, where)}).encode(), where)


def decoded_message(body: bytes, where: str) -> ImageMessage:
    """Return the message of a line of JSON. Raises: UsageError saying what is wrong with it."""
    try:
        message = decode_image_message(body)
    except MessageInvalid as error:
        raise UsageError(f"{where}: {_fault(body, str(error))}") from None
    if message.image_uri is not None:
        _check_uri(message.image_uri, where)
    return message


def _fault(body: bytes, fault: str) -> str:
    """Return what is wrong with a message, with the value of the field that it names."""
    found = _FAULT_OF_FIELD.fullmatch(fault)
    if not found:
        # The body is one line, whose number in the list is in front.
        return _JSON_LINE.sub(" at column", fault)
    value = json.loads(body.removeprefix(UTF_8_BOM)).get(found[1])
    shown = shown_value(value) if isinstance(value, str) else json.dumps(value)[:SHOWN_CHARS]
    return f"{found[1]} is {shown}; it {found[2]}"


def is_url(text: str) -> bool:
    """Return whether a text begins like a URI with a host, such as https://…"""
    return _URL.match(text) is not None


def is_windows_path(text: str) -> bool:
    """Return whether a text begins with a drive, such as `C:`, or with the name of a host."""
    return _WINDOWS_PATH.match(text) is not None


def begins_like_path(text: str) -> bool:
    """Return whether a text begins like a path that does not depend on other files: `/…`, `./…`, `../…`."""
    return text.startswith(_PATH_BEGINNINGS)


def looks_like_path(image_id: str) -> bool:
    """Return whether an ID could be meant as a path: it begins like one, or is that of a file here."""
    if begins_like_path(image_id):
        return True
    # The ID 2024 stays an ID where there is a folder 2024.
    return ("/" in image_id or "." in image_id) and os.path.lexists(image_id)


def _check_surplus(fields: Sequence[str], layout: Layout, where: str) -> None:
    most = len(layout.columns)
    if not any(field.strip() for field in fields[most:]):
        return
    if layout.columns is BY_POSITION:
        raise UsageError(
            f"{where}: {len(fields)} columns; a row is {','.join(BY_POSITION)}, and a header names others"
        )
    raise UsageError(
        f"{where}: {len(fields)} values, and the header has {most}; "
        f"write a value that contains {layout.separator!r} in quotes"
    )


def _check_alone(value: str, layout: Layout, where: str) -> None:
    """Refuse what stands alone in a row, without a URI, and is more likely something else than an ID."""
    if holds_columns(value):
        raise UsageError(
            f"{where}: {shown_value(value)} has another separator than the first row, which has "
            f"{SEPARATORS[layout.separator]}; use one in all rows"
        )
    if layout.named:
        return
    if value.startswith("{"):
        raise UsageError(f"{where}: a JSON message in a list of rows; put messages into a list of their own")
    check_not_uri(value, where)
    if holds_other_columns(value):
        raise UsageError(
            f"{where}: {shown_value(value)} has another separator than commas, semicolons or tabs; use one "
            "of these, or begin the list with the header image_id if all of it is an ID"
        )
    if looks_like_path(value):
        raise UsageError(
            f"{where}: {shown_value(value)} is a path in a list without a header; begin a list of paths with "
            "the header path, and a list of IDs with the header image_id"
        )
    if _WHOLE_WINDOWS_PATH.match(value):
        raise UsageError(
            f"{where}: {shown_value(value)} is a path of Windows; write where this machine has the file, "
            "such as /mnt/c/photos/1.jpg, or begin a list of IDs with the header image_id"
        )
    if ";" in value:
        raise UsageError(
            f"{where}: {shown_value(value)} has a semicolon; begin the list with the header "
            "image_id;image_uri if it separates columns, or with image_id if it belongs to the ID"
        )


def check_not_uri(value: str, where: str) -> None:
    """Raise UsageError for a value that is a URI and stands alone."""
    if is_url(value):
        raise UsageError(
            f"{where}: {shown_value(value)} is a URI without an ID; a row is {','.join(BY_POSITION)}"
        )


def _path(value: str, where: str) -> bytes:
    if not value.strip():
        raise UsageError(f"{where}: the path is empty")
    if value.casefold() == PATH and not os.path.lexists(value):
        raise header_again(where, named=True)
    return checked_path(os.fsencode(value), where)


def checked_path(path: bytes, where: str) -> bytes:
    """Return a path. Raises: UsageError if it holds a zero byte, which no path can."""
    if b"\0" in path:
        raise UsageError(f"{where}: a zero byte; separate all paths by zero bytes, or all by line feeds")
    return path


def _revision(row: dict[str, str], where: str) -> dict[str, int]:
    text = row.get("revision")
    if text is None:
        return {}
    # Python refuses to read thousands of digits.
    digits = text.lstrip("0") or "0" if text.isascii() and text.isdigit() else ""
    if not digits or len(digits) > len(str(MAX_REVISION)) or int(digits) > MAX_REVISION:
        raise UsageError(
            f"{where}: revision is {shown_value(text)}; it must be a whole number from 0 to {MAX_REVISION}"
        )
    return {"revision": int(digits)}


def _check_uri(uri: str, where: str) -> None:
    if is_windows_path(uri):
        raise UsageError(
            f"{where}: {shown_value(uri)} is a path of Windows, not a URI; write where this machine has the "
            "file, such as file:///mnt/c/photos/1.jpg"
        )
    if not _SCHEME.match(uri):
        raise UsageError(
            f"{where}: {shown_value(uri)} is not a URI; a file's URI is file:///its/absolute/path"
        )
