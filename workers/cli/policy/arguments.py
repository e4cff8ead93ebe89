"""The arguments that several `policy` commands take, and the checks of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from panopticon.errors import UsageError

version_argument: Callable[[Any], Any] = click.argument("name", metavar="NAME@V")
file_argument: Callable[[Any], Any] = click.argument("file", metavar="FILE|-")


def source_name(file: str) -> str:
    """Return the name of the policy's source for error messages."""
    return "standard input" if file == "-" else file


def refuse_two_stdins(file: str, ids_file: str | None) -> None:
    """Raise UsageError if both the policy and the IDs are to be read from standard input."""
    if file == ids_file == "-":
        raise UsageError("standard input cannot hold both the policy and the IDs; put one into a file")
