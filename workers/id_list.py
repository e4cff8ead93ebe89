"""A list of image IDs, one a line, taken as it stands or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from panopticon.errors import UsageError
from panopticon.messages import ImageId

_IMAGE_ID = TypeAdapter[str](ImageId)


def read_image_ids(lines: Iterable[bytes], source: str) -> list[str]:
    """The IDs in order; a line is ended by LF or CR LF.

    Raises: UsageError naming `source`, the line and what is wrong with it: blank, there twice, or no image
    ID; also if there is no line at all.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{source}, line {number}"
        image_id = _image_id(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where)
        if image_id in seen:
            raise UsageError(
                f"{where}: {image_id!r} is on line {seen[image_id]} already; name each image once"
            )
        seen[image_id] = number
    if not seen:
        raise UsageError(f"{source}: no image ID in it; write one a line")
    return list(seen)


def _image_id(line: bytes, where: str) -> str:
    bare = line.removesuffix(b"\n").removesuffix(b"\r")
    if not bare.strip():
        raise UsageError(f"{where}: it is blank; write one image ID a line")
    try:
        return _IMAGE_ID.validate_python(bare.decode())
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not UTF-8; write the list in UTF-8") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {bare.decode()!r:.60} is no image ID: it {_lowered(fault)}") from None


def _lowered(fault: str) -> str:
    return fault[:1].lower() + fault[1:]
