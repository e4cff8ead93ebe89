"""The entry of every request: its ID and trace, the check of its token, its metrics, and its problems."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from panopticon.errors import Unavailable
from panopticon.metrics import Metrics
from workers.serving.api.bodies import ClientGone, Receive
from workers.serving.problems import Problem

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTEXT = "panopticon.context"
REQUEST_ID = re.compile(rb"[!-~]{1,128}")
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
Check = Callable[[str | None, str, str], str]
"""Takes the header Authorization, a scope and the client's address; returns the name of the caller.

Raises: Problem (unauthorized, forbidden)."""


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """The facts about a request that its path and body do not tell."""

    request_id: str
    trace: str
    """The request ID and the `traceparent`, as logs show them."""
    authorization: str | None
    address: str
    checker: Check
    route: str = "other"
    """The path of the route that answers, for the metrics."""

    def check(self, scope: str) -> str:
        """Return the caller, who may do what this scope allows. Raises: Problem."""
        return self.checker(self.authorization, scope, self.address)


def context_of(scope: Scope) -> RequestContext:
    """Return the context of a request that has passed the entry."""
    context: RequestContext = scope[CONTEXT]
    return context


class Entry:
    """An ASGI application around another one."""

    def __init__(self, app: App, *, check: Check, metrics: Metrics) -> None:
        self._app = app
        self._check = check
        self._metrics = metrics
        # IDs need not be secret: random for the process, and counted, which costs no system call.
        self._prefix = os.urandom(6).hex()
        self._counter = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = self._context(scope)
        scope[CONTEXT] = context
        begun_s = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", context.request_id.encode("ascii")),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientGone:
            # Nobody is there to read an answer.
            status = status or 499
        except Problem as problem:
            await problem.response(context.request_id)(scope, receive, send_with_id)
        except Unavailable as error:
            down = Problem(slug="store-down", detail=str(error), component=error.component)
            await down.response(context.request_id)(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s failed", context.request_id)
            if status == 0:
                bug = Problem(slug="internal-error", detail="the service has a bug; its log has the details")
                await bug.response(context.request_id)(scope, receive, send_with_id)
            else:
                raise
        finally:
            self._metrics.count("panopticon_http_requests_total", route=context.route, status=str(status))
            self._metrics.observe(
                "panopticon_http_request_seconds", time.perf_counter() - begun_s, route=context.route
            )

    def _context(self, scope: Scope) -> RequestContext:
        request_id = trace = authorization = None
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                request_id = value.decode("ascii")
            elif name == b"traceparent" and TRACEPARENT.fullmatch(value):
                trace = value.decode("ascii")
            elif name == b"authorization":
                authorization = value.decode("latin-1")
        request_id = request_id or f"{self._prefix}{next(self._counter):012x}"
        client = scope.get("client")
        return RequestContext(
            request_id=request_id,
            trace=f"{request_id} {trace}" if trace else request_id,
            authorization=authorization,
            address=client[0] if client else "",
            checker=self._check,
        )
