"""The endpoints that read the stores, and the commands that answer the same questions."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from panopticon.settings import Settings
from workers.cli.session import Session
from workers.serving.api.images import image_route
from workers.serving.api.problems import Problem
from workers.serving.api.search import search_route
from workers.serving.reading import Readers


@contextmanager
def reading_app(settings: Settings, **limits: int) -> Iterator[Starlette]:
    """Yield an application with these endpoints, on readers with these limits, closed after the block."""
    with closing(Readers(settings, **limits)) as readers:
        routes = [image_route(readers, settings), search_route(readers)]
        yield Starlette(routes=routes, exception_handlers={Problem: _problem})


def printed(settings: Settings, command: click.Command, *words: str) -> Any:
    """Return the JSON that a command prints."""
    with closing(Session(settings.model_dump(exclude_unset=True), file=None)) as session:
        context = command.make_context(command.name, [*words, "--json"], obj=session)
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            command.invoke(context)
        return json.loads(text.getvalue())


async def _problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()
