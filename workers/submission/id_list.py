"""Lists of image IDs, one a line, taken as they stand or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter, ValidationError

from panopticon.errors import UsageError
from panopticon.messages import ImageId

SHOWN_CHARS = 60

_IMAGE_ID = TypeAdapter[str](ImageId)


def read_image_ids(lines: Iterable[bytes], source: str) -> list[str]:
    """The IDs in order.

    Raises: UsageError as `numbered_ids` does; for an ID that is there twice; and if there is none at all.
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
    """Each ID with its line, counted from 1; a line is ended by LF or CR LF.

    Raises: UsageError naming `source`, the line and what is wrong with it: blank, or no image ID.
    """
    for number, line in enumerate(lines, start=1):
        bare = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        yield number, _image_id(bare.removesuffix(b"\n").removesuffix(b"\r"), f"{source}, line {number}")


def there_twice(image_id: str, source: str, number: int, *, first: int) -> UsageError:
    return UsageError(
        f"{source}, line {number}: {_shown(image_id)} is on line {first} already; name each image once"
    )


def no_ids(source: str) -> UsageError:
    return UsageError(f"{source}: no image ID in it; write one a line")


def _image_id(line: bytes, where: str) -> str:
    if not line.strip():
        raise UsageError(f"{where}: it is blank; write one image ID a line")
    try:
        return _IMAGE_ID.validate_python(line.decode())
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not UTF-8; write the list in UTF-8") from None
    except ValidationError as error:
        fault = (
            error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ").removeprefix("String ")
        )
        raise UsageError(
            f"{where}: {_shown(line.decode())} is no image ID: it {fault[:1].lower()}{fault[1:]}"
        ) from None


def _shown(image_id: str) -> str:
    return repr(image_id[:SHOWN_CHARS])
