"""`panopticon erase`: forget what was said of images, for good."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from workers.cli.formatting import counted
from workers.cli.session import Session, json_option, read_ids
from workers.maintenance.erase import Erased, Eraser, Remains
from workers.runtime.terminal_text import printable

EXIT_KEPT = 1


@click.command("erase")
@click.option("--ids", "ids_file", required=True, metavar="FILE|-", help="A file of image IDs, one a line.")
@click.option("--check", is_flag=True, help="Erase nothing; say what of these images is kept, or came back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def erase_command(context: click.Context, *, ids_file: str, check: bool, yes: bool, as_json: bool) -> None:
    """Remove every output and failure of these images, in every version, and mark them as deleted.

    Originals are not touched. Exit code 1 if anything of them is kept afterwards, or with --check now.
    """
    session: Session = context.obj
    image_ids = read_ids(ids_file)
    eraser = Eraser(
        store=session.store,
        search=session.search,
        broker=session.broker,
        originals=session.settings.originals,
    )
    erased = None
    if not check:
        _confirm(image_ids, ids_file, yes=yes)
        erased = eraser.erase(image_ids, now_ms=int(time.time() * 1000))
    remains = eraser.check(image_ids)
    if as_json:
        session.print_json(_json(image_ids, erased, remains))
    else:
        _print(session, image_ids, erased, remains, ids_file)
    context.exit(0 if remains.clean else EXIT_KEPT)


def _confirm(image_ids: Sequence[str], ids_file: str, *, yes: bool) -> None:
    """Raises: UsageError where nobody can be asked, click.Abort for a no."""
    if yes:
        return
    if ids_file == "-":
        raise UsageError("standard input holds the IDs, so nobody can be asked; say --yes")
    click.confirm(
        f"Everything that was said of {counted(len(image_ids), 'image')} is removed for good. Go on?",
        abort=True,
        err=True,
    )


def _json(image_ids: Sequence[str], erased: Erased | None, remains: Remains) -> dict[str, Any]:
    return {
        "ok": remains.clean,
        "final": remains.final,
        "images": len(image_ids),
        "erased": erased
        and {
            "images": erased.images,
            "outputs": erased.outputs,
            "failures": erased.failures,
            "unknown": list(erased.unknown),
            "revisions": dict(erased.revisions),
        },
        "in_flight": remains.in_flight,
        "on_the_way": remains.on_the_way,
        "kept": [
            {
                "image_id": held.image_id,
                "deleted": not held.in_catalogue,
                "outputs": len(held.outputs),
                "failures": len(held.failures),
            }
            for held in remains.kept
        ],
        "in_search": list(remains.searchable),
    }


def _print(
    session: Session, image_ids: Sequence[str], erased: Erased | None, remains: Remains, ids_file: str
) -> None:
    if erased is not None:
        outputs, failures = counted(erased.outputs, "output"), counted(erased.failures, "failure")
        session.out.print(f"{counted(erased.images, 'image')} erased: {outputs}, {failures}.")
        if erased.unknown:
            session.out.print(f"{counted(len(erased.unknown), 'ID')} under which nothing is kept.")
    for held in remains.kept:
        what = f"{counted(len(held.outputs), 'output')}, {counted(len(held.failures), 'failure')}"
        state = ", not deleted in the catalogue" if held.in_catalogue else ""
        session.out.print(Text(f"kept  {printable(held.image_id)}: {what}{state}", style="red"))
    for line, style in _conclusions(image_ids, remains, ids_file):
        session.out.print(Text(line, style=style))


def _conclusions(image_ids: Sequence[str], remains: Remains, ids_file: str) -> list[tuple[str, str]]:
    again = f"panopticon erase --ids {shlex.quote(ids_file)}"
    lines = []
    if remains.kept:
        lines.append((f"Next: {again}", "red"))
    if remains.searchable:
        found = counted(len(remains.searchable), "image")
        word = (
            "until the indexer has come to it" if remains.on_the_way else f"with nothing on its way: {again}"
        )
        lines.append(
            (f"{found} can still be found in search, {word}", "yellow" if remains.on_the_way else "red")
        )
    if remains.under_way:
        under_way = counted(remains.under_way, "message")
        line = f"{under_way} under way: one may store or show something again; afterwards: {again} --check"
        lines.append((line, "yellow"))
    if remains.final:
        lines.append(
            (f"Nothing is kept of {counted(len(image_ids), 'image')}, and nothing is under way.", "green")
        )
    return lines
