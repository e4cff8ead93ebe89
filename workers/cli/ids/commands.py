"""`panopticon ids list` and `ids add`: the list of all image IDs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import click
from rich.text import Text

from panopticon.errors import UsageError
from workers.cli.formatting import counted
from workers.cli.session import Session, json_option, pass_session
from workers.registry.image_list import add_known, listed, searched
from workers.runtime.streams import write_data
from workers.runtime.terminal_text import printable
from workers.submission.id_list import numbered_ids


@click.command("ids list")
@click.option("--after", default="", metavar="ID", help="Begin after this ID of the list.")
@pass_session
def list_command(session: Session, *, after: str) -> None:
    """Print the ID of every image in the catalogue, deleted ones included, one a line.

    The order is the store's own, and stays the same.
    """
    for page in listed(session.store.images, after=after):
        write_data("".join(f"{image_id}\n" for image_id in page))


@click.command("ids add")
@click.option(
    "--ids", "ids_file", metavar="FILE|-", help="File of image IDs, one a line; - for standard input."
)
@click.option("--from-search", is_flag=True, help="Take the images in search, deleted ones included.")
@json_option
@pass_session
def add_command(session: Session, *, ids_file: str | None, from_search: bool, as_json: bool) -> None:
    """Add images of the catalogue to the list of IDs.

    Needed once, on a Cassandra keyspace that a release without the list has filled. Repeating is harmless.
    """
    if (ids_file is None) is not from_search:
        raise UsageError("give either --ids FILE, with one image ID a line, or --from-search")
    if ids_file is None:
        known, unknown = add_known(chain.from_iterable(searched(session.search)), session.store)
    else:
        with _lines(ids_file) as (lines, name):
            known, unknown = add_known((each for _, each in numbered_ids(lines, name)), session.store)
    if as_json:
        session.print_json({"listed": known, "unknown": unknown, "total": session.store.images.count()})
        return
    session.out.print(Text(f"{counted(known, 'image')} of the catalogue are in the list.", style="green"))
    if unknown:
        session.out.print(f"{counted(unknown, 'ID')} not in the catalogue, and not added.")


@contextmanager
def _lines(ids_file: str) -> Iterator[tuple[Iterable[bytes], str]]:
    """Yield the lines of a file, or of standard input, and its name. Raises: UsageError naming the file."""
    if ids_file == "-":
        yield sys.stdin.buffer, "standard input"
        return
    try:
        source = open(ids_file, "rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"cannot read {printable(ids_file)}: {error.strerror}") from None
    with source:
        yield source, printable(ids_file)
