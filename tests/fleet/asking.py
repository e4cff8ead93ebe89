"""`panopticon search`, asked many times over one connection, as a service would ask."""

from __future__ import annotations

import contextlib
import io

from panopticon.settings import Settings
from workers.cli.search import search_command
from workers.cli.session import Session

QUERIES_PER_S = 100.0
ASKERS = 4


class Asker:
    """One connection to each server. Used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._session = Session(settings.model_dump(exclude_unset=True), file=None)

    def ask(self, *words: str) -> str:
        """What `panopticon search WORDS --json` prints."""
        context = search_command.make_context("search", [*words, "--json"], obj=self._session)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            search_command.invoke(context)
        return printed.getvalue()

    def close(self) -> None:
        self._session.store.close()
