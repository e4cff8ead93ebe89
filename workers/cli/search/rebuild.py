"""`panopticon search rebuild`: rebuild the search index from the store while the present one answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.interfaces import Rebuildable
from workers.cli.all_images import Walk, after_option, all_option, refuse_after
from workers.cli.formatting import counted
from workers.cli.session import Session, json_option, read_ids
from workers.maintenance.rebuild_index import Rebuilder, Rebuilt, policies
from workers.runtime.terminal_text import printable

EXIT_REFUSED = 1


@click.command("search rebuild")
@click.option(
    "--ids",
    "ids_file",
    metavar="FILE|-",
    help="File of all image IDs of the catalogue, one a line; - for standard input.",
)
@all_option
@after_option
@click.option("--fewer", is_flag=True, help="Use the new index even if it holds fewer documents.")
@click.option("--drop-old", is_flag=True, help="Delete the index that answered before [default: keep it].")
@json_option
@click.pass_context
def rebuild_command(
    context: click.Context,
    *,
    ids_file: str | None,
    every: bool,
    after: str,
    fewer: bool,
    drop_old: bool,
    as_json: bool,
) -> None:
    """Rebuild the search index from catalogue and outputs. No model runs, and search goes on answering.

    An index that was lost is created. After an interruption, the same command goes on, and repeats only what
    it did; --all --after ID, which it prints, repeats nothing. Exit code 1 if the index refused a document.
    """
    session: Session = context.obj
    search = session.search
    if not isinstance(search, Rebuildable):
        raise UsageError("this search index cannot be rebuilt")
    refuse_after(after, every=every)
    if ids_file is not None and every:
        raise UsageError("give either --all or --ids FILE")
    rebuilt, former = None, None
    if every:
        rebuilt, former = _rebuild_all(session, search, after=after, fewer=fewer)
    elif ids_file is not None:
        rebuilt, former = _rebuild(session, search, read_ids(ids_file), fewer=fewer)
    elif not drop_old:
        raise UsageError("name the images to rebuild with --all or --ids FILE, or pass --drop-old alone")
    dropped = search.drop_former() if drop_old else []
    if as_json:
        session.print_json(_json(rebuilt, former, dropped))
    else:
        _print(session, rebuilt, former, dropped)
    context.exit(EXIT_REFUSED if rebuilt and rebuilt.refused else 0)


def _rebuild(
    session: Session, search: Rebuildable, image_ids: Sequence[str], *, fewer: bool
) -> tuple[Rebuilt, str | None]:
    """Return the result, and the name of the index that answered before."""
    rebuilder = Rebuilder(store=session.store, policies=policies(session.store))
    rebuild = search.rebuild()
    with click.progressbar(length=len(image_ids), label="Rebuilding", file=sys.stderr) as bar:
        rebuilt = rebuilder.fill(rebuild, image_ids, progress=bar.update)
    return rebuilt, rebuild.finish(fewer=fewer)


def _rebuild_all(
    session: Session, search: Rebuildable, *, after: str, fewer: bool
) -> tuple[Rebuilt, str | None]:
    """Return the result for all images after `after`, and the name of the index that answered before."""
    # A new index without the images before that place would replace the present one.
    if after and not search.has_rebuild():
        raise UsageError("--after: no interrupted rebuild is there to go on with; begin without it")
    rebuilder = Rebuilder(store=session.store, policies=policies(session.store))
    rebuild = search.rebuild()
    with Walk(session, after=after) as walk:
        rebuilt = rebuilder.fill_pages(rebuild, walk.pages())
    return rebuilt, rebuild.finish(fewer=fewer)


def _json(rebuilt: Rebuilt | None, former: str | None, dropped: Sequence[str]) -> dict[str, Any]:
    return {
        "rebuilt": rebuilt
        and {
            "images": rebuilt.images,
            "changes": rebuilt.changes,
            "unknown": list(rebuilt.unknown),
            "refused": list(rebuilt.refused),
        },
        "former": former,
        "dropped": list(dropped),
    }


def _print(session: Session, rebuilt: Rebuilt | None, former: str | None, dropped: Sequence[str]) -> None:
    if rebuilt is not None:
        session.out.print(Text(f"{counted(rebuilt.images, 'image')} rebuilt.", style="green"))
        if rebuilt.unknown:
            session.out.print(f"{counted(len(rebuilt.unknown), 'ID')} with nothing stored.")
        for image_id in rebuilt.refused:
            session.out.print(Text(f"refused  {printable(image_id)}", style="red"))
    for name in dropped:
        session.out.print(f"{name} is deleted.")
    if former is not None and former not in dropped:
        session.out.print(f"{former} is kept: panopticon search rebuild --drop-old")
