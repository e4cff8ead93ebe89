"""Read lists of image IDs, one a line. A list with any mistake in it is refused as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter, ValidationError

from panopticon.errors import UsageError
from panopticon.messages import ImageId

SHOWN_CHARS = 60

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

    Raises: UsageError naming `source`, the line and what is wrong with it: blank, or not an image ID.
    """
    for number, line in enumerate(lines, start=1):
        bare = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        yield number, _image_id(bare.removesuffix(b"\n").removesuffix(b"\r"), f"{source}, line {number}")


def there_twice(image_id: str, source: str, number: int, *, first: int) -> UsageError:
    """Return the error for an ID on line `number` that is on line `first` already."""
    return UsageError(
        f"{source}, line {number}: {_shown(image_id)} is on line {first} already; name each image once"
    )


def no_ids(source: str) -> UsageError:
    """Return the error for a list without an ID."""
    return UsageError(f"{source}: it holds no image ID; write one a line")


def _image_id(line: bytes, where: str) -> str:
    if not line.strip():
        raise UsageError(f"{where}: it is blank; write one image ID a line")
    try:
        return _IMAGE_ID.validate_python(line.decode())
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not UTF-8; write the list in UTF-8") from None
    except ValidationError as error:
        # pydantic's words begin with "String should …" or "Value error, must …".
        fault = (
            error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ").removeprefix("String ")
        )
        raise UsageError(
            f"{where}: {_shown(line.decode())} is not an image ID: it {fault[:1].lower()}{fault[1:]}"
        ) from None


def _shown(image_id: str) -> str:
    return repr(image_id[:SHOWN_CHARS])
