"""`/v1/problems`: the documentation of each kind of problem."""

from __future__ import annotations

from textwrap import shorten

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from workers.serving.api.app import ApiRoute
from workers.serving.problem_kinds import CATALOGUE, PATH
from workers.serving.problems import MAX_VALUE_CHARS, Problem


def problem_routes() -> list[BaseRoute]:
    """Return the routes of the problems. They need no token."""
    return [
        ApiRoute(PATH, _list_problems, methods=["GET"]),
        ApiRoute(f"{PATH}/{{slug}}", _show_problem, methods=["GET"]),
    ]


async def _list_problems(_request: Request) -> Response:
    return JSONResponse({"problems": [kind.as_dict() for kind in CATALOGUE.values()]})


async def _show_problem(request: Request) -> Response:
    slug = request.path_params["slug"]
    if kind := CATALOGUE.get(slug):
        return JSONResponse(kind.as_dict())
    raise Problem(
        slug="not-found",
        detail=f"no kind of problem is called {shorten(slug, MAX_VALUE_CHARS)}",
        parameter="slug",
        value=slug,
        allowed=list(CATALOGUE),
    )
