"""`GET /v1/images/{id}`: everything that is stored about one image, and why."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from panopticon.messages import MAX_IMAGE_ID_BYTES, ImageId, trimmed
from panopticon.settings import Settings
from workers.inspection.image_json import report_json
from workers.inspection.image_report import find_record, read_report, uploads_waiting
from workers.serving.api.app import ApiRoute
from workers.serving.api.stored import answer_stored
from workers.serving.problems import Problem
from workers.serving.reading import Readers, ReadingParts

PATH = "/v1/images"

_IMAGE_ID = TypeAdapter(ImageId)
_ALLOWED = f"1 to {MAX_IMAGE_ID_BYTES} bytes of UTF-8 without control characters, percent-encoded"


def image_route(readers: Readers, settings: Settings) -> ApiRoute:
    """Return the route of `GET /v1/images/{id}`."""

    async def show_image(request: Request) -> Response:
        image_id = _image_id(request)
        return await answer_stored(readers, lambda parts: _read(parts, image_id, settings))

    route = ApiRoute(f"{PATH}/{{id:path}}", show_image, methods=["GET"], needs="read")
    # Starlette's pattern ends at a line feed, so that such an ID would be a path that is not served.
    route.path_regex = re.compile(f"^{PATH}/(?P<id>.*)$", re.DOTALL)
    return route


def _image_id(request: Request) -> str:
    """Return the ID that the path names. Raises: Problem."""
    text: str = request.path_params["id"]
    try:
        # A server decodes the path, and puts replacement characters in the place of bytes that are not UTF-8.
        if raw_path := request.scope.get("raw_path"):
            text = unquote_to_bytes(raw_path.partition(b"?")[0]).decode().partition(f"{PATH}/")[2]
        return _IMAGE_ID.validate_python(text)
    except UnicodeDecodeError:
        remark = "it is not UTF-8"
    except ValidationError as error:
        remark = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    raise Problem(
        slug="invalid-parameter",
        detail=f"id: {remark[:1].lower()}{remark[1:]}",
        parameter="id",
        value=text,
        allowed=_ALLOWED,
    )


def _read(parts: ReadingParts, image_id: str, settings: Settings) -> dict[str, Any]:
    """Return the report on an image as JSON. Raises: Problem if there is none; UsageError, Unavailable."""
    # Lists have no spaces around IDs; an earlier release stored some.
    image_ids = dict.fromkeys((image_id, trimmed(image_id)))
    record = find_record(filter(None, image_ids), store=parts.store, search=parts.search)
    if record is None:
        waiting = uploads_waiting(lambda: parts.broker)
        remark = f"; uploads that wait for an indexer, and may include it: {waiting}" if waiting else ""
        raise Problem(
            slug="unknown-image",
            detail=f"nothing is stored about an image with the ID {image_id!r}{remark}",
            parameter="id",
            value=image_id,
        )
    report = read_report(
        record,
        store=parts.store,
        broker=lambda: parts.broker,
        retry_delays=len(settings.retry_delays_s),
        now_ms=int(time.time() * 1000),
    )
    return report_json(report)
