"""The images in the body of a request: raw bytes, a multipart form, or JSON with URIs. All within limits."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from workers.serving.coordinator import Picture
from workers.serving.problems import Problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_JSON_BYTES = 1024 * 1024
FORM = "multipart/form-data"
JSON = "application/json"
RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")
"""Types that are read as the bytes of one image; the second is what curl sends unless it is given another."""
TYPES = ["image/*", "application/octet-stream", FORM, JSON]
JSON_FORMS = '{"uri": "https://…"} or {"images": [{"uri": "https://…"}, …]}'


class ClientGone(Exception):  # noqa: N818
    """The client closed its connection before its request was complete."""


class UriImage(BaseModel):
    """One image by its URI."""

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(min_length=1, max_length=8192, description="URI of the original")


class UriImages(BaseModel):
    """Several images by their URIs."""

    model_config = ConfigDict(extra="forbid")

    images: list[UriImage] = Field(min_length=1, description="The images, answered in this order")


class BodyReader:
    """The body of one request, read once, within its limits of bytes and time."""

    def __init__(
        self,
        receive: Receive,
        *,
        content_type: str,
        max_bytes: int,
        max_image_bytes: int,
        max_images: int,
        timeout_s: float,
        arrived: Callable[[int], None],
    ) -> None:
        """`arrived` is called with the bytes so far, and raises a Problem if they are too many."""
        self._receive = receive
        self._content_type = content_type
        self._max_bytes = max_bytes
        self._max_image_bytes = max_image_bytes
        self._max_images = max_images
        self._timeout_s = timeout_s
        self._arrived = arrived
        self._bytes = 0
        self._complete = False

    async def read(self) -> tuple[list[Picture], bool]:
        """Return the pictures, and whether the request may have several by its form.

        Raises: Problem; ClientGone.
        """
        kind = self._content_type.partition(";")[0].strip().lower()
        try:
            async with asyncio.timeout(self._timeout_s):
                if kind == FORM:
                    pictures = await self._form()
                    return pictures, len(pictures) > 1
                if kind == JSON:
                    return await self._json()
                if kind in RAW or kind.startswith("image/"):
                    return [await self._raw()], False
        except TimeoutError:
            raise Problem(
                slug="request-timeout",
                detail=f"the body did not arrive within {self._timeout_s:g} s",
                allowed=f"{self._timeout_s:g} s",
            ) from None
        raise Problem(
            slug="unsupported-media-type",
            detail="the body has a type that is not read",
            parameter="Content-Type",
            value=kind,
            allowed=TYPES,
        )

    async def next_message(self) -> Message:
        """Return the next part of the body as ASGI's `receive` does. Raises: Problem; ClientGone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._max_bytes:
            raise Problem(
                slug="too-large",
                detail=f"the body has more than {self._max_bytes} bytes",
                allowed=f"{self._max_bytes} bytes",
            )
        self._arrived(self._bytes)
        self._complete = not message.get("more_body", False)
        return message

    async def _bytes_of_body(self, limit_bytes: int) -> bytes:
        pieces = []
        while not self._complete:
            pieces.append((await self.next_message()).get("body", b""))
            if self._bytes > limit_bytes:
                raise self._too_large(limit_bytes)
        if not self._bytes:
            raise Problem(
                slug="malformed-body",
                detail="the body is empty; send the bytes of an image",
                allowed=TYPES,
            )
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self, limit_bytes: int) -> Problem:
        return Problem(
            slug="too-large",
            detail=f"one image, or the list of URIs, has more than {limit_bytes} bytes",
            allowed=f"{limit_bytes} bytes",
        )

    async def _raw(self) -> Picture:
        return Picture(encoded=await self._bytes_of_body(self._max_image_bytes))

    async def _form(self) -> list[Picture]:
        headers = Headers({"content-type": self._content_type})
        try:
            async with aclosing(self._pieces()) as pieces:
                # A part that is not a file is text; such parts are counted too, and then refused by name.
                parser = _Form(headers, pieces, max_files=self._max_images, max_fields=self._max_images)
                form = await parser.parse()
        except MultiPartException as error:
            if error.message.startswith("Too many"):
                raise too_many_images(self._max_images) from None
            raise _unreadable_form(error.message) from None
        except ValueError:
            # A few of Python's encodings fail in ways of their own.
            raise _unreadable_form("its charset does not fit its text") from None
        try:
            if not parser.has_ended:
                raise _unreadable_form("it ends before its last boundary")
            pictures = [await self._picture(name, part) for name, part in form.multi_items()]
        finally:
            await form.close()
        if not pictures:
            raise Problem(
                slug="malformed-body",
                detail="the form has no file; send each image as a file: curl -F image=@photo.jpg",
            )
        return pictures

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        while not self._complete:
            yield (await self.next_message()).get("body", b"")

    async def _picture(self, name: str, part: UploadFile | str) -> Picture:
        if isinstance(part, str):
            raise Problem(
                slug="malformed-body",
                detail=f"the form's field {name!r} is text; send images as files: curl -F image=@photo.jpg",
                parameter=name,
            )
        encoded = await part.read(self._max_image_bytes + 1)
        if len(encoded) > self._max_image_bytes:
            raise self._too_large(self._max_image_bytes)
        if not encoded:
            raise Problem(slug="malformed-body", detail=f"the form's file {name!r} is empty", parameter=name)
        return Picture(name=part.filename or name, encoded=encoded)

    async def _json(self) -> tuple[list[Picture], bool]:
        document = _parsed(await self._bytes_of_body(MAX_JSON_BYTES))
        if not isinstance(document, dict):
            raise Problem(slug="malformed-body", detail="the JSON is not an object", allowed=JSON_FORMS)
        try:
            if "images" not in document:
                return [Picture(uri=UriImage.model_validate(document).uri)], False
            images = UriImages.model_validate(document).images
        except ValidationError as error:
            raise _invalid_json(error) from None
        if len(images) > self._max_images:
            raise too_many_images(self._max_images)
        return [Picture(uri=image.uri) for image in images], True


def too_many_images(limit: int) -> Problem:
    """Return the problem of a request with more images than one may have."""
    return Problem(
        slug="too-many-images", detail=f"the request has more than {limit} images", allowed=f"{limit} images"
    )


class _Form(MultiPartParser):
    """The parser of a form, which keeps files in memory, since the gates limit their bytes."""

    spool_max_size = 0
    has_ended = False
    """True once the last boundary was there. Without it a file is missing, or is cut short."""

    def on_end(self) -> None:
        """Note the last boundary."""
        self.has_ended = True


def _unreadable_form(fault: str) -> Problem:
    return Problem(
        slug="malformed-body",
        detail=f"the multipart form cannot be read: {fault.rstrip('.')}",
        parameter="Content-Type",
        allowed="multipart/form-data; boundary=…, and a body that has this boundary",
    )


def _parsed(body: bytes) -> Any:
    """Return the JSON of a body. Raises: Problem, also if a key is there twice, since either may count."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        fault = f"byte {error.start} is not UTF-8"
    except RecursionError:
        fault = "it is nested too deeply"
    except ValueError as error:
        fault = str(error)
    raise Problem(slug="malformed-body", detail=f"the body is not JSON: {fault}", allowed=JSON_FORMS)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Counted in one pass, since a body may have a hundred thousand keys.
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {twice!r:.60} is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _invalid_json(error: ValidationError) -> Problem:
    fault: Mapping[str, Any] = error.errors(include_url=False)[0]
    field = ".".join(map(str, fault["loc"]))
    where = f"{field}: " if field else ""
    return Problem(
        slug="malformed-body",
        detail=f"the JSON cannot be used: {where}{fault['msg']}",
        parameter=field or None,
        allowed=JSON_FORMS,
    )
