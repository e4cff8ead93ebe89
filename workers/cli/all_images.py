"""Commands with `--all`: a walk through the list of all image IDs that can be interrupted and continued."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import click
from rich.text import Text

from panopticon.chunks import CHUNK
from panopticon.errors import Unavailable, UsageError
from workers.cli.formatting import counted, lasting
from workers.cli.live_line import LiveLine
from workers.cli.session import Session
from workers.registry.image_list import listed

all_option: Callable[[Any], Any] = click.option(
    "--all", "every", is_flag=True, help="Take every image, from the list of IDs."
)

after_option: Callable[[Any], Any] = click.option(
    "--after",
    default="",
    metavar="ID",
    help="With --all: go on after this ID, which an interrupted command printed.",
)


def refuse_after(after: str, *, every: bool) -> None:
    """Raise UsageError for a place in the list of all images if that list is not used."""
    if after and not every:
        raise UsageError("--after is a place in the list of all images; give it with --all")


class Walk:
    """A walk through the list of all image IDs.

    Used as a context, it prints where the command can go on if it is interrupted. The memory that it takes
    does not depend on the length of the list.
    """

    def __init__(self, session: Session, *, after: str, page: int = CHUNK) -> None:
        self._session = session
        self._after = after
        self._page = page
        self._done = 0
        self._total: int | None = None
        self._begun_s = time.monotonic()
        self._line = LiveLine(session.err)

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)
        if self._done and isinstance(error, KeyboardInterrupt | Unavailable):
            self._session.err.print(Text(f"{self._far}; {self._way_on}"))

    def pages(self) -> Iterator[list[str]]:
        """Yield the IDs in pages. A page counts as done once the next one is asked for."""
        images = self._session.store.images
        # A part of the list has no known length.
        self._total = images.count() if not self._after else None
        for page in listed(images, after=self._after, page=self._page):
            yield page
            self._done += len(page)
            self._after = page[-1]
            self._report()

    def _report(self) -> None:
        line = f"{self._far}{self._left(time.monotonic())}"
        self._line.show(line, printed=f"{line}; {self._way_on}")

    @property
    def _far(self) -> str:
        if self._total is None:
            return f"{counted(self._done, 'image')} done"
        return f"{self._done:,} of {counted(self._total, 'image')} done"

    @property
    def _way_on(self) -> str:
        after = f" with --after {shlex.quote(self._after)}" if self._after else ""
        return f"to go on: the same command{after}"

    def _left(self, now_s: float) -> str:
        if self._total is None or now_s <= self._begun_s:
            return ""
        return f", done in {lasting(max(self._total - self._done, 0) * (now_s - self._begun_s) / self._done)}"
