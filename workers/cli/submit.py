"""`panopticon submit`: put images on the queues, as an upload service does."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from panopticon.errors import Damaged, Unavailable, UsageError
from panopticon.messages import Lane
from workers.cli.folders.changes import confirmed_deletions, folder_lines, folder_options
from workers.cli.folders.skipped import print_unmatched, walk_report
from workers.cli.formatting import counted
from workers.cli.session import Session, exclude_option, pass_creating_session
from workers.submission.folder_record import prune_entries, record, use_outputs_again
from workers.submission.lists.rows import looks_like_path
from workers.submission.lists.text import shown_value
from workers.submission.submit import Entry, publish, read_sources

EXIT_UNREADABLE = 1


@click.command("submit")
@click.argument("sources", nargs=-1, required=True, metavar="PATH|FILE.csv|-...")
@click.option(
    "--lane",
    type=click.Choice([lane.value for lane in Lane]),
    default=Lane.LIVE.value,
    show_default=True,
    help="Lane of the queues; messages of the backfill lane never delay those of the live lane.",
)
@exclude_option
@folder_options
@pass_creating_session
def submit_command(
    session: Session,
    *,
    sources: tuple[str, ...],
    lane: str,
    exclude: tuple[str, ...],
    prune: bool | None,
    yes: bool,
    verify: bool,
) -> None:
    """Put images on the queues, as an upload service does.

    Name files, folders, lists in .csv or .tsv files, or - for the lines of standard input. Everything is read
    first, and nothing is sent if any of it is wrong. docs/cli.md describes the formats.

    Exit code 1 if something in a folder cannot be read; all else is sent.
    """
    rules = session.walk_rules(exclude)
    submission = read_sources(sources, session.store, stdin=sys.stdin.buffer, rules=rules, verify=verify)
    print_unmatched(session.err, exclude, rules)
    deletions = confirmed_deletions(session, submission.folders, prune=prune, yes=yes)
    for part in walk_report(submission):
        session.err.print(part)
    _warn(session, submission.entries)
    now_ms = int(time.time() * 1000)
    record(submission.folders, session.store, now_ms=now_ms)
    stored = use_outputs_again(submission.folders, session.store)
    prune_entries(deletions or (), session.store, session.broker.uploads, now_ms=now_ms)
    pruned = None if deletions is None else len(deletions)
    for line in folder_lines(submission.folders, pruned):
        session.err.print(line, markup=False)
    _publish(session, [entry for entry in submission.entries if entry.image_id not in stored], Lane(lane))
    # A worker looks up what is backfill, and publishes a stored output without running the model.
    _publish(session, [entry for entry in submission.entries if entry.image_id in stored], Lane.BACKFILL)
    if submission.entries:
        session.out.print(f"{counted(len(submission.entries), 'image')} accepted, lane {lane}.")
        session.out.print("Next: panopticon status", style="dim")
    else:
        session.out.print("Nothing to submit: no pictures found.")
    if submission.unreadable:
        click.get_current_context().exit(EXIT_UNREADABLE)


def _warn(session: Session, entries: Sequence[Entry]) -> None:
    """Warn where the messages can be sent but will not lead to an output."""
    try:
        bound = session.broker.topology.bound()
    except Damaged:
        raise
    except (Unavailable, UsageError) as error:
        # Publishing does not need what answers this question.
        session.err.print(f"Cannot check whether any model is bound: {error}", style="yellow", markup=False)
    else:
        if not bound:
            session.err.print(
                "No model is bound yet: the images are added to the catalogue, and no model runs on them. "
                "Start one with panopticon worker --model tagger@1, and submit again.",
                style="yellow",
            )
    # A deletion needs no file.
    bare = [entry for entry in entries if entry.image_uri is None and entry.event == "uploaded"]
    if not bare:
        return
    if not session.settings.originals:
        session.err.print(
            f"{counted(len(bare), 'image')} without a URI, and the setting `originals` is empty here: "
            "workers need it to find the files.",
            style="yellow",
        )
    path = next((entry.image_id for entry in bare if looks_like_path(entry.image_id)), None)
    if path is not None:
        session.err.print(
            f"The ID {shown_value(path)} looks like a path, and is sent as an ID; begin a list of paths with "
            "the header path.",
            style="yellow",
            markup=False,
        )


def _publish(session: Session, entries: Sequence[Entry], lane: Lane) -> None:
    columns = (TextColumn("submitting"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=session.err, transient=True, disable=not session.err.is_terminal) as bar:
        task = bar.add_task("", total=len(entries))
        publish(
            entries,
            session.broker.uploads,
            lane,
            now_ms=int(time.time() * 1000),
            progress=lambda done: bar.update(task, completed=done),
        )
