"""The routes of the API, as one ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from workers.serving.api.entry import context_of
from workers.serving.problems import Problem
from workers.serving.readiness import Readiness

Endpoint = Callable[..., Any]
PROBES = ("/health/live", "/health/ready", "/metrics")


class ApiRoute(Route):
    """A route that names itself in the metrics, checks tokens, and answers other methods with a problem."""

    def __init__(self, path: str, endpoint: Endpoint, *, methods: Sequence[str], needs: str = "") -> None:
        """`needs`: the scope that a caller's token must have; empty if everybody may ask."""
        super().__init__(path, endpoint, methods=methods)
        self._needs = needs

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        context.route = self.path
        if self.methods and scope["method"] not in self.methods:
            raise Problem(
                slug="method-not-allowed",
                detail=f"{self.path} does not take {scope['method']}",
                value=scope["method"],
                allowed=sorted(self.methods),
            )
        if self._needs:
            context.check(self._needs)
        await self.app(scope, receive, send)


def by_method(endpoints: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> Endpoint:
    """Return one endpoint that calls another one for each method."""

    async def dispatch(request: Request) -> Response:
        # The server leaves the body of an answer to HEAD out.
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return dispatch


def router_of(routes: Sequence[BaseRoute]) -> Router:
    """Return the application of these routes; any other path is a problem."""
    return Router([*routes], redirect_slashes=False, default=_not_found)


def probe_routes(readiness: Readiness) -> list[BaseRoute]:
    """Return the routes of the probes, which need no token and pass no gate."""

    async def probe(request: Request) -> Response:
        answer = readiness.answer(request.url.path)
        assert answer is not None, "each of the routes is a probe"
        return Response(answer.body, answer.status, media_type=answer.content_type)

    return [ApiRoute(path, probe, methods=["GET"]) for path in PROBES]


async def _not_found(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Problem(
        slug="not-found",
        detail="nothing is served at this path; /openapi.json lists what is",
        parameter="path",
        value=scope["path"],
    )
