"""A line of progress that is updated in place on a terminal, and printed once in a while elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

PROGRESS_EVERY_S = 30.0
"""Seconds between two lines where they cannot be updated in place."""


class LiveLine:
    """A context in which the line is shown."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None
        self._printed_s = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, line: str, *, printed: str = "", at_once: bool = False) -> None:
        """Show the present line.

        `printed`: the line to print in its place where it cannot be updated. `at_once`: print it now.
        """
        if self._live:
            self._live.update(Text(line, style="dim"), refresh=True)
        elif at_once or time.monotonic() - self._printed_s >= PROGRESS_EVERY_S:
            self._printed_s = time.monotonic()
            self._err.print(printed or line, markup=False)
