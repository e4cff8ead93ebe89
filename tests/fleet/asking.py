"""Queries to search, those of an operator and those of a service."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from panopticon.results.search import Query, SearchPage
from panopticon.settings import Settings
from tests.house import house_of
from workers.cli.search.find import search_command
from workers.cli.session import Session
from workers.registry.active import active_versions, parts_of

QUERIES_PER_S = 100
ASKERS = 4
PAGE = 20


def answers(settings: Settings, questions: list[list[str]]) -> list[str]:
    """Return what `panopticon search … --json` prints for each, over one connection."""
    session = Session(settings.model_dump(exclude_unset=True), file=None)
    with closing(session.store):
        return [_answer(session, words) for words in questions]


def _answer(session: Session, words: list[str]) -> str:
    context = search_command.make_context("search", [*words, "--json"], obj=session)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        search_command.invoke(context)
    return printed.getvalue()


@dataclass(kw_only=True)
class Answered:
    """The answers to many queries."""

    pages: list[list[SearchPage]] = field(default_factory=list)
    """The pages of each query, read through one cursor."""
    errors: list[BaseException] = field(default_factory=list)
    seconds: float = 0.0


@contextmanager
def under_queries(settings: Settings) -> Iterator[Answered]:
    """Ask a hundred queries a second, or as many as are possible, until the block ends."""
    answered, stop = Answered(), threading.Event()
    threads = [threading.Thread(target=_ask_on, args=(settings, answered, stop)) for _ in range(ASKERS)]
    begun_s = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        answered.seconds = time.monotonic() - begun_s
    assert answered.errors == []


def _ask_on(settings: Settings, answered: Answered, stop: threading.Event) -> None:
    try:
        with house_of(settings) as house:
            due_s = time.monotonic()
            while not stop.is_set():
                query = Query(parts=parts_of(active_versions(house.store.registry)), limit=PAGE)
                pages = [house.search.query(query)]
                if cursor := pages[0].cursor:
                    pages.append(house.search.query(replace(query, cursor=cursor)))
                answered.pages.append(pages)
                due_s += len(pages) * ASKERS / QUERIES_PER_S
                stop.wait(max(due_s - time.monotonic(), 0))
    except BaseException as error:
        answered.errors.append(error)
