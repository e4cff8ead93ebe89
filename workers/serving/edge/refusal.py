"""Answering before the body of a request was read."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope, Send

from workers.serving.edge.limits import DRAIN_BYTES, DRAIN_S
from workers.serving.problems import Problem


async def refuse_early(
    scope: Scope, receive: Receive, send: Send, problem: Problem, *, request_id: str | None = None
) -> None:
    """Answer at once with a problem, so that a client sees it that is still sending its body.

    Of a large body, or one of unknown length, at most `DRAIN_BYTES` are read, and the connection is closed. A
    small one is read to its end by the protocol, and the connection stays open for the next try.
    """
    headers = dict(scope["headers"])
    body = problem.body(request_id)
    fields = {**problem.answer_headers(), "content-length": str(len(body))}
    is_short = scope["http_version"] != "1.0" and _is_short(headers)
    if not is_short:
        fields["connection"] = "close"
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": not is_short})
    if not is_short:
        # The server closes the connection with the end of the answer, which therefore waits.
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_short(headers: dict[bytes, bytes]) -> bool:
    """Return whether the rest of the request is small and will certainly be sent."""
    # A client that waits for "100 Continue" may leave its body out.
    if b"transfer-encoding" in headers or b"expect" in headers:
        return False
    # This connection is closed with the answer, while the body still comes.
    if b"close" in headers.get(b"connection", b"").lower():
        return False
    return int(headers.get(b"content-length", b"0")) <= DRAIN_BYTES


async def _drain(receive: Receive) -> None:
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_S):
            while left > 0:
                message: Message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return
