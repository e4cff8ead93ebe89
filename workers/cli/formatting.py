"""Write numbers, moments, places and tables for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from panopticon.errors import Rejected
from panopticon.messages import from_ms
from storage.originals.files import path_of
from workers.runtime.terminal_text import printable, shown

_QUERY = re.compile(r"""(https?:\\?/\\?/[^\s"?#]*?)(?:\?|\\u003f)[^\s"#]*""", re.IGNORECASE)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 image`, `1,234 images`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def utc(moment_ms: int) -> str:
    """Return a moment such as `2026-11-21 09:30:00`, for columns headed UTC, or a dash if it is not known."""
    moment = from_ms(moment_ms)
    return "–" if moment is None else moment.replace(tzinfo=None).isoformat(" ", "seconds")


def lasting(seconds: float) -> str:
    """Return a duration such as `8 s`, `12 min`, `3 h 20 min` or `2 d 4 h`."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def place(uri: str) -> str:
    """Return a file's path, or any other URI without its query, with control characters escaped."""
    if urlsplit(uri).scheme == "file":
        try:
            return shown(path_of(uri))
        # An upload service may send any URI; one that names no path is shown as it came.
        except Rejected:
            pass
    return printable(without_queries(uri))


def without_queries(text: str) -> str:
    """Replace the query of every web address by `?…`: in a presigned URL it is a key to the file."""
    return _QUERY.sub(r"\1?…", text)


def table(*left: str, right: tuple[str, ...] = (), flowing: tuple[str, ...] = ()) -> Table:
    """Return a table as wide as its content: text columns, number columns, and last those that may wrap."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in left:
        made.add_column(name, no_wrap=True)
    for name in right:
        made.add_column(name, justify="right", no_wrap=True)
    for name in flowing:
        made.add_column(name, overflow="fold")
    return made


def block(lines: Iterable[tuple[str, str | Text]]) -> Table:
    """Return names and values, indented; a long value wraps within its own column."""
    made = Table.grid(padding=(0, 2))
    made.add_column()
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in lines:
        made.add_row("", name, Text(value) if isinstance(value, str) else value)
    return made


def headed(heading: str, lines: Iterable[tuple[str, str | Text]], *, style: str = "bold") -> Group:
    """Return a block under its heading, with an empty line before it."""
    return Group("", Text(heading, style=style), block(lines))
