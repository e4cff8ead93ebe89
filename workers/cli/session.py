"""What every command needs: settings, and the parts they name, opened on first use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from panopticon.errors import UsageError
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.settings import Settings, read_settings
from storage.search import open_search
from storage.stores import open_store
from workers.queues import broker_of
from workers.runtime.terminal_text import printable
from workers.submission.id_list import read_image_ids

SETTINGS_FILE = Path("panopticon.toml")
PIPED_WIDTH = 10_000
"""Columns where nobody looks at a terminal: nothing is wrapped or cut that another program may read."""


class Session:
    """One run of the command line."""

    def __init__(self, flags: dict[str, Any], *, file: Path | None) -> None:
        self._flags = flags
        self._file = file

    @cached_property
    def settings(self) -> Settings:
        """Raises: UsageError."""
        file = self._file or (SETTINGS_FILE if SETTINGS_FILE.exists() else None)
        return read_settings(flags=self._flags, environ=os.environ, file=file)

    @cached_property
    def store(self) -> Store:
        return open_store(self.settings.store_url)

    @cached_property
    def broker(self) -> Broker:
        return broker_of(self.settings)

    @cached_property
    def search(self) -> SearchIndex:
        return open_search(self.settings.search_url)

    @cached_property
    def out(self) -> Console:
        """For people; what machines read goes through `print_json`."""
        return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)

    @cached_property
    def err(self) -> Console:
        return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPED_WIDTH)

    def print_json(self, value: Any) -> None:
        """One JSON value on standard output."""
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))


pass_session = click.make_pass_decorator(Session)

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON instead of a table."
)


def read_text(source: str) -> str:
    """The whole of a file, or of standard input for `-`. Raises: UsageError."""
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {printable(source)}: {error.strerror}") from None
    except ValueError:
        name = "standard input" if source == "-" else printable(source)
        raise UsageError(f"{name}: not UTF-8; it must be a text file") from None


def read_ids(source: str) -> list[str]:
    """The image IDs of a file, or of standard input for `-`. Raises: UsageError naming the line at fault."""
    if source == "-":
        return read_image_ids(sys.stdin.buffer, "standard input")
    try:
        with open(source, "rb") as lines:
            return read_image_ids(lines, printable(source))
    except OSError as error:
        raise UsageError(f"cannot read {printable(source)}: {error.strerror}") from None


metrics_option = click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Answer Prometheus on this port."
)
