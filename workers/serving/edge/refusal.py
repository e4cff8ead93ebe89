"""Stub until the edge is merged."""

from __future__ import annotations

from typing import Any


async def refuse_early(scope: Any, receive: Any, send: Any, problem: Any, *, request_id: str) -> None:
    response = problem.response(request_id)
    response.headers["connection"] = "close"
    await response(scope, receive, send)
