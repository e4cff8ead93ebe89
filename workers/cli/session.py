"""The settings of one call of the program, and the components that they name, opened on first use."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from panopticon.errors import Damaged, UsageError
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.settings import Settings, read_settings
from storage.search import open_search
from storage.sqlite.database import SCHEME, SqliteDatabase, path_of
from storage.sqlite.diagnosis import damage_of
from storage.stores import open_store
from workers.queues import broker_of
from workers.runtime.streams import shows, write_data
from workers.runtime.terminal_text import printable
from workers.submission.id_list import read_image_ids
from workers.submission.walk import WalkRules

SETTINGS_FILE = Path("panopticon.toml")
_NOT_PLAIN = re.compile(r"[^\n -~]")
PIPED_WIDTH = 10_000
"""Width in columns if the output is not a terminal, so that nothing is wrapped that a program may read."""


class FiniteRange(click.FloatRange):
    """A range of numbers. Every comparison with NaN is false, so click's own range would take it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number that can be compared", param, ctx)
        return number


class Session:
    """One call of the program.

    Only a command with `pass_creating_session` creates an SQLite database; any other one refuses to start
    without it, because its URL is probably mistyped.
    """

    def __init__(self, flags: dict[str, Any], *, file: Path | None) -> None:
        self._flags = flags
        self._file = file
        self.creates_database = False
        self._new_database: Path | None = None

    @cached_property
    def settings(self) -> Settings:
        """Read the settings. Raises: UsageError naming the setting that is wrong."""
        file = self._file or _file_of_this_folder()
        return read_settings(flags=self._flags, environ=os.environ, file=file)

    @cached_property
    def store(self) -> Store:
        """Open the store. Raises: UsageError if its URL is wrong, Unavailable if it is down."""
        self._look_for_file(self.settings.store_url)
        return open_store(self.settings.store_url)

    @cached_property
    def broker(self) -> Broker:
        """Open the broker. Raises: UsageError if its URL is wrong, Unavailable if it is down."""
        self._look_for_file(self.settings.broker_url)
        return broker_of(self.settings)

    @cached_property
    def search(self) -> SearchIndex:
        """Open the search index. Raises: UsageError if its URL is wrong, Unavailable if it is down."""
        # A search index in a file of its own may have been lost, and names its own way out.
        if self.settings.search_url in (self.settings.store_url, self.settings.broker_url):
            self._look_for_file(self.settings.search_url)
        return open_search(self.settings.search_url)

    def damage(self) -> Damaged | None:
        """Return the damage of an SQLite file of these settings, if there is any."""
        urls = (self.settings.store_url, self.settings.broker_url, self.settings.search_url)
        files = [SqliteDatabase(url, part="store") for url in dict.fromkeys(urls) if url.startswith(SCHEME)]
        return next(filter(None, map(damage_of, files)), None)

    def close(self) -> None:
        """Close the components that were opened, and end their threads."""
        opened = vars(self)
        for name in ("broker", "search", "store"):
            if name in opened:
                opened[name].close()

    @cached_property
    def out(self) -> Console:
        """Return the console for text that people read; `print_json` writes for programs."""
        return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)

    @cached_property
    def err(self) -> Console:
        """Return the console for progress, warnings and hints."""
        width = None if sys.stderr.isatty() else PIPED_WIDTH
        return Console(stderr=True, highlight=False, emoji=False, width=width)

    def walk_rules(self, exclude: Sequence[str] = ()) -> WalkRules:
        """Return what a walk takes: the settings, and more patterns to exclude. Raises: UsageError."""
        return WalkRules.of((*self.settings.exclude, *exclude), self.settings.pairs)

    @property
    def waits_for_first_use(self) -> bool:
        """Return whether the database is the default one and nothing has created it yet."""
        return self._has_default_database and not path_of(self.settings.database).exists()

    def name_new_database(self) -> None:
        """Print the path of the default database once this call has created it."""
        path, self._new_database = self._new_database, None
        if path is not None and path.exists():
            self.err.print(f"new database: {path}", markup=False)

    @property
    def _has_default_database(self) -> bool:
        return "database" not in self.settings.model_fields_set

    def _look_for_file(self, url: str) -> None:
        """Raise UsageError if the URL is that of an SQLite file that should be there and is not."""
        if not url.startswith(SCHEME) or (path := path_of(url)).exists():
            return
        if not self.creates_database:
            raise UsageError(
                f"no database at {path}; panopticon index PATH… creates one, --database names another"
            )
        if self._has_default_database and url == self.settings.database:
            self._new_database = path

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Print one JSON value on standard output, with escapes for what a terminal would not show.

        `indent`: None for a value on one line.
        """
        text = _NOT_PLAIN.sub(_json_escaped, json.dumps(value, ensure_ascii=False, indent=indent))
        write_data(f"{text if shows(text) else json.dumps(value, indent=indent)}\n")


pass_session = click.make_pass_decorator(Session)


def pass_creating_session(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the session to a command that creates the database at its first use.

    Once it has ended it prints the path of a default database that is new.
    """

    @click.pass_context
    @wraps(command)
    def creating(context: click.Context, /, *args: Any, **options: Any) -> Any:
        session: Session = context.find_object(Session) or context.obj
        session.creates_database = True
        try:
            return context.invoke(command, session, *args, **options)
        finally:
            session.name_new_database()

    return creating


json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON instead of text."
)


def check_current_folder() -> None:
    """Raise UsageError if the current folder was deleted, in which no relative path means anything."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current folder was deleted; change to another one (cd)") from None


def _file_of_this_folder() -> Path | None:
    """Return the settings file of the current folder, None without one. Raises: UsageError."""
    check_current_folder()
    try:
        SETTINGS_FILE.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"the current folder: cannot look for {SETTINGS_FILE} ({error.strerror}); change to another one"
        ) from None
    return SETTINGS_FILE


def _json_escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def read_text(source: str) -> str:
    """Return the text of a file, or of standard input for `-`. Raises: UsageError naming the file."""
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        # As a text file would be read.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UsageError(f"cannot read {printable(source)}: {error.strerror}") from None
    except ValueError:
        name = "standard input" if source == "-" else printable(source)
        raise UsageError(f"{name}: not UTF-8; it must be a text file") from None


def is_utf_8(argument: str) -> bool:
    """Return whether an argument can be an image ID: one that was typed in other bytes than UTF-8 cannot."""
    return argument.encode("utf-8", "replace").decode() == argument


def read_ids(source: str) -> list[str]:
    """Return the image IDs of a file, or of standard input for `-`. Raises: UsageError naming the line."""
    if source == "-":
        return read_image_ids(sys.stdin.buffer, "standard input")
    try:
        with open(source, "rb") as lines:
            return read_image_ids(lines, printable(source))
    except OSError as error:
        raise UsageError(f"cannot read {printable(source)}: {error.strerror}") from None


exclude_option: Callable[[Any], Any] = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Files or folders to skip, as in .gitignore, any number of times; added to the setting `exclude`.",
)

metrics_option = click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Port that serves metrics to Prometheus, on the address `metrics_host` [default: none].",
)
