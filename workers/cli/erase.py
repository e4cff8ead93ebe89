"""`panopticon erase`: remove every output and failure of given images for good."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.results.folder_entries import FolderEntry
from workers.cli.formatting import counted
from workers.cli.session import Session, json_option, read_ids
from workers.maintenance.erase import Erased, Eraser, Remains
from workers.runtime.terminal_text import printable
from workers.submission.folder_history import entries_below

EXIT_KEPT = 1

_NOTHING = "nothing to erase; give --ids FILE with one image ID a line, or --under PATH"


@click.command("erase")
@click.option(
    "--ids",
    "ids_file",
    metavar="FILE|-",
    help="File of image IDs, one a line; - for standard input.",
)
@click.option(
    "--under",
    multiple=True,
    metavar="PATH",
    help="File or folder, any number of times: every image that was indexed there.",
)
@click.option("--check", is_flag=True, help="Erase nothing; show what is stored of these images.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_context
def erase_command(
    context: click.Context,
    *,
    ids_file: str | None,
    under: tuple[str, ...],
    check: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove every output and failure of given images.

    They are removed in every version, and the images are marked as deleted. Original files are not touched.
    Exit code 1 if anything of these images is still stored.
    """
    session: Session = context.obj
    entries = _entries(session, under)
    listed = read_ids(ids_file) if ids_file else []
    image_ids = list(dict.fromkeys([*listed, *(entry.image_id for entry in entries)]))
    if not image_ids:
        raise UsageError(_NOTHING if not under else f"no image was indexed under {', '.join(under)}")
    eraser = Eraser(
        store=session.store,
        search=session.search,
        broker=session.broker,
        originals=session.settings.originals,
    )
    erased = None
    if not check:
        _confirm(image_ids, ids_file, yes=yes)
        erased = eraser.erase(image_ids, now_ms=int(time.time() * 1000), entries=entries)
    remains = eraser.check(image_ids)
    if as_json:
        session.print_json(_json(image_ids, erased, remains))
    else:
        source = _source(ids_file, under) if erased is None or not under else _saved_ids(image_ids, remains)
        _print(session, image_ids, erased, remains, source)
    context.exit(0 if remains.clean else EXIT_KEPT)


def _entries(session: Session, under: Sequence[str]) -> list[FolderEntry]:
    """Return the entries of the folder list at or below these paths, which need not exist any more."""
    return entries_below(session.store.folders, [os.path.realpath(os.fsencode(path)) for path in under])


def _source(ids_file: str | None, under: Sequence[str]) -> str:
    """Return the options that name the same images again."""
    options = [("--ids", ids_file)] if ids_file else []
    return " ".join(
        f"{name} {shlex.quote(value)}" for name, value in (*options, *(("--under", path) for path in under))
    )


def _saved_ids(image_ids: Sequence[str], remains: Remains) -> str:
    """Return the option that names erased images again, from a new file; empty if nothing is left to check.

    The folder list has forgotten the paths of these images, so `--under` does not find them any more.
    """
    if remains.final:
        return ""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="panopticon-erased-", suffix=".txt", delete=False
    ) as file:
        file.writelines(f"{image_id}\n" for image_id in image_ids)
    return f"--ids {shlex.quote(file.name)}"


def _confirm(image_ids: Sequence[str], ids_file: str | None, *, yes: bool) -> None:
    """Ask a person to confirm. Raises: UsageError if no one can be asked, click.Abort if the answer is no."""
    if yes:
        return
    if ids_file == "-":
        raise UsageError("cannot prompt while IDs are read from standard input; pass --yes")
    click.confirm(
        f"Every output and failure of {counted(len(image_ids), 'image')} will be removed for good. Continue?",
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
        "delayed": remains.delayed,
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
    session: Session, image_ids: Sequence[str], erased: Erased | None, remains: Remains, source: str
) -> None:
    if erased is not None:
        outputs, failures = counted(erased.outputs, "output"), counted(erased.failures, "failure")
        session.out.print(f"{counted(erased.images, 'image')} erased: {outputs}, {failures}.")
        if erased.unknown:
            session.out.print(f"{counted(len(erased.unknown), 'ID')} with nothing stored.")
    for held in remains.kept:
        stored = f"{counted(len(held.outputs), 'output')}, {counted(len(held.failures), 'failure')}"
        state = ", not deleted in the catalogue" if held.in_catalogue else ""
        session.out.print(Text(f"kept  {printable(held.image_id)}: {stored}{state}", style="red"))
    for line, style in _conclusions(image_ids, remains, source):
        session.out.print(Text(line, style=style))


def _conclusions(image_ids: Sequence[str], remains: Remains, source: str) -> list[tuple[str, str]]:
    """Return the last lines, each with its style."""
    again = f"panopticon erase {source}"
    lines = []
    if remains.kept:
        lines.append((f"Next: {again}", "red"))
    if remains.searchable:
        found = counted(len(remains.searchable), "image")
        if remains.on_the_way:
            lines.append((f"{found} still in search until the indexer has applied the deletion", "yellow"))
        else:
            lines.append((f"{found} still in search, and no deletion is queued: {again}", "red"))
    if remains.on_the_way:
        line = (
            "A running panopticon indexer removes deleted images from search; panopticon index does too, and "
            "brings back photos that it is given"
        )
        lines.append((line, "yellow"))
    if remains.under_way:
        in_progress = counted(remains.under_way, "message")
        line = f"{in_progress} in progress, which may store an output again; afterwards: {again} --check"
        lines.append((line, "yellow"))
    if remains.delayed:
        on_delay = counted(remains.delayed, "message")
        line = f"{on_delay} on a retry delay, which stores nothing: workers skip deleted images."
        lines.append((line, "dim"))
    if remains.final:
        line = f"Nothing is stored of {counted(len(image_ids), 'image')}, and no message is in progress."
        lines.append((line, "green"))
    return lines
