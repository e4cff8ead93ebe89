"""The answer of `POST /v1/analyze`: its status, its headers and its JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from workers.serving.api.entry import Send
from workers.serving.problems import MEDIA_TYPE

STATUS_ORDER = (503, 502, 429, 422)
"""The status of a request for which no model answered is the first of these that one of them has."""


async def send_answers(
    answers: Sequence[dict[str, Any]], send: Send, *, several: bool, request_id: str
) -> None:
    """Send the answers about the images of a request, as a problem if no model answered for any of them.

    `several`: the request may have several images by its form.
    """
    status = _status(answers)
    content: dict[str, Any] = {"results": answers} if several else answers[0]
    headers = [(b"content-type", b"application/json")]
    if status != 200:
        # The problem of one of them, and the whole answer within it.
        shared = [error for error in _errors(answers) if error["status"] == status]
        content = {**shared[0], "request_id": request_id, **content}
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        waits_ms = [error["retry_after_ms"] for error in shared if "retry_after_ms" in error]
        if waits_ms:
            content["retry_after_ms"] = max(waits_ms)
            # It has whole seconds only.
            headers.append((b"retry-after", str(math.ceil(max(waits_ms) / 1000)).encode()))
    body = _encoded(content)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _status(answers: Sequence[dict[str, Any]]) -> int:
    """Return 200 if a model answered for an image, else the status that stands for all their errors."""
    if any("error" not in model for answer in answers for model in answer["models"].values()):
        return 200
    statuses = {error["status"] for error in _errors(answers)}
    return next((status for status in STATUS_ORDER if status in statuses), 503)


def _errors(answers: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (model["error"] for answer in answers for model in answer["models"].values() if "error" in model)


def _encoded(content: dict[str, Any]) -> bytes:
    """Encode as JSON. Every number is read back to the same bits."""
    try:
        return to_json(content)
    except PydanticSerializationError:
        # The name of a file may be any text, and a lone surrogate has no UTF-8.
        return json.dumps(content, separators=(",", ":")).encode("ascii")
