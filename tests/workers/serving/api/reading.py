"""The endpoints that read the stores, and the commands that answer the same questions."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from panopticon.metrics import Metrics
from panopticon.settings import Settings
from workers.cli.session import Session
from workers.serving.api.app import router_of
from workers.serving.api.entry import Entry
from workers.serving.api.images import image_route
from workers.serving.api.search import search_route
from workers.serving.reading import Readers


@contextmanager
def reading_app(settings: Settings, **limits: int) -> Iterator[Entry]:
    """Yield an application with these endpoints, on readers with these limits, closed after the block."""
    with closing(Readers(settings, **limits)) as readers:
        routes = [image_route(readers, settings), search_route(readers)]
        yield Entry(router_of(routes), check=_open_to_all, metrics=Metrics())


def printed(settings: Settings, command: click.Command, *words: str) -> Any:
    """Return the JSON that a command prints."""
    with closing(Session(settings.model_dump(exclude_unset=True), file=None)) as session:
        context = command.make_context(command.name, [*words, "--json"], obj=session)
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            command.invoke(context)
        return json.loads(text.getvalue())


def _open_to_all(_authorization: str | None, _scope: str, address: str) -> str:
    return address
