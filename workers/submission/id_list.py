"""Read lists of image IDs, one a line. A list with any mistake in it is refused as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter, ValidationError

from panopticon.errors import UsageError
from panopticon.messages import ImageId
from workers.submission.lists.header import header_of
from workers.submission.lists.text import (
    check_encoding,
    header_again,
    holds_columns,
    shown_value,
    text_of,
    without_spaces,
)

_IMAGE_ID = TypeAdapter[str](ImageId)


def read_image_ids(lines: Iterable[bytes], source: str) -> list[str]:
    """Return the IDs in order.

    Raises: UsageError as `numbered_ids` does; also for an ID that is listed twice, and for an empty list.
    """
    seen: dict[str, int] = {}
    for number, image_id in numbered_ids(lines, source):
        if image_id in seen:
            raise there_twice(image_id, source, number, first=seen[image_id])
        seen[image_id] = number
    if not seen:
        raise no_ids(source)
    return list(seen)


def numbered_ids(lines: Iterable[bytes], source: str) -> Iterator[tuple[int, str]]:
    """Yield each ID with its line's number, counted from 1. A line ends with LF or CR LF.

    Spaces around an ID do not belong to it, and a first line `image_id` is a header.
    Raises: UsageError naming `source`, the line and what is wrong with it: blank, or not an image ID.
    """
    named = False
    for number, line in enumerate(lines, start=1):
        if number == 1:
            check_encoding(line, source)
        where = f"{source}, line {number}"
        text = text_of(line, where)
        if "\r" in text.rstrip("\r\n"):
            raise UsageError(f"{where}: a carriage return in the middle; end each line with a line feed")
        image_id = without_spaces(text)
        if image_id.casefold() != "image_id":
            yield number, _image_id(image_id, where)
        elif number > 1:
            raise header_again(where, named=named)
        else:
            named = True


def there_twice(image_id: str, source: str, number: int, *, first: int) -> UsageError:
    """Return the error for an ID on line `number` that is on line `first` already."""
    return UsageError(
        f"{source}, line {number}: {shown_value(image_id)} is on line {first} already; name each image once"
    )


def no_ids(source: str) -> UsageError:
    """Return the error for a list without an ID."""
    return UsageError(f"{source}: it holds no image ID; write one a line")


def _image_id(image_id: str, where: str) -> str:
    if not image_id:
        raise UsageError(f"{where}: it is blank; write one image ID a line")
    if holds_columns(image_id) or _is_header(image_id):
        raise UsageError(f"{where}: {shown_value(image_id)} is a row of columns; write one image ID a line")
    try:
        return _IMAGE_ID.validate_python(image_id)
    except ValidationError as error:
        # pydantic's words begin with "String should …" or "Value error, must …".
        fault = (
            error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ").removeprefix("String ")
        )
        raise UsageError(
            f"{where}: {shown_value(image_id)} is not an image ID: it {fault[:1].lower()}{fault[1:]}"
        ) from None


def _is_header(text: str) -> bool:
    """Return whether a text names columns of a list for `submit`."""
    header = header_of(text)
    return header is not None and len(header.columns) > 1
