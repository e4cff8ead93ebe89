"""`panopticon backfill`: run a version over existing images, by ID."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import click
from rich.console import Console
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.models import parse_version
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.results.outputs import VersionName
from workers.backfill.feeder import LANE_IS_FULL, Context, Feeder, FromList, FromSearch, Ids, Listed
from workers.backfill.progress import Recent
from workers.backfill.records import FROM_LIST, FROM_SEARCH, BackfillRequest, refuse_unrouted, take_up
from workers.backfill.sorted_ids import IdList, sorted_ids
from workers.cli.all_images import all_option
from workers.cli.backfill.report import backfill_json, counts, speed
from workers.cli.formatting import counted
from workers.cli.live_line import LiveLine
from workers.cli.session import Session, json_option
from workers.runtime.identity import who
from workers.runtime.terminal_text import printable

EXIT_NOT_DONE = 1
"""The backfill was cancelled, or another process took it over."""
STDIN = "-"


@click.command("backfill")
@click.option("--model", required=True, metavar="NAME@V", help="Model version to run.")
@click.option(
    "--ids", "ids_file", metavar="FILE|-", help="File of image IDs, one per line; - is standard input."
)
@all_option
@click.option("--from-search", is_flag=True, help="Take the images in search instead of a list.")
@json_option
@click.pass_context
def backfill_command(
    context: click.Context,
    *,
    model: str,
    ids_file: str | None,
    every: bool,
    from_search: bool,
    as_json: bool,
) -> None:
    """Run a version over a list of images: those without an output go to its queue, in the backfill lane.

    The queue is kept short, so the command runs until the last ID is processed. If it is killed or
    interrupted, run the same command again to continue. From another terminal: panopticon backfill list, or
    show, pause, resume or cancel with the name of the backfill. Exit code 1 if it was cancelled, or taken
    over by another process.
    """
    session: Session = context.obj
    version = parse_version(model)
    if [ids_file is not None, every, from_search].count(True) != 1:
        raise UsageError("give either --ids FILE, with one image ID per line, --all or --from-search")
    refuse_unrouted(version, session.store)
    # The queues are bound first, so that images uploaded after the list is read reach the version too.
    session.broker.topology.bind(version)
    with _listed(ids_file) as listed:
        source = ids_file or (FROM_LIST if every else FROM_SEARCH)
        ended, feeder = _run(session, version, listed, source)
    if as_json:
        fields = backfill_json(ended, None, now_ms=_now_ms())
        session.print_json({**fields, "unknown_ids": list(feeder.unknown)})
    else:
        for line, style in _conclusions(ended, feeder.unknown):
            session.out.print(Text(line, style=style))
    context.exit(0 if ended.state is BackfillState.DONE else EXIT_NOT_DONE)


@contextmanager
def _listed(ids_file: str | None) -> Iterator[IdList | None]:
    """Give the sorted list of IDs; None if they do not come from a file. Raises: UsageError."""
    if ids_file is None:
        yield None
    elif ids_file == STDIN:
        with sorted_ids(sys.stdin.buffer, "standard input") as listed:
            yield listed
    else:
        try:
            source = open(ids_file, "rb")  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"cannot read {printable(ids_file)}: {error.strerror}") from None
        with source, sorted_ids(source, printable(ids_file)) as listed:
            yield listed


def _run(
    session: Session, version: VersionName, listed: IdList | None, source: str
) -> tuple[Backfill, Feeder]:
    """Run the backfill until it ends, and return its record with the feeder. Raises: UsageError."""
    ids, total = _source(session, listed, source)
    wanted = BackfillRequest(
        version=version,
        source=source,
        ids_sha256=listed.sha256 if listed else "",
        total=total,
        by=who(),
        owner=f"process {os.getpid()} of {who()}",
    )
    record = take_up(wanted, session.store.backfills, now_ms=_now_ms())
    if record.cursor or record.state is BackfillState.PAUSED:
        session.err.print(Text(f"{record.name} continues after {record.cursor:,} of {record.total:,} IDs."))
    with ProgressLine(session.err) as progress_line:
        feeder = Feeder(
            record,
            ids,
            store=session.store,
            broker=session.broker,
            settings=session.settings,
            context=Context(now_ms=_now_ms, sleep=time.sleep, report=progress_line.update),
        )
        try:
            return feeder.feed(), feeder
        except KeyboardInterrupt:
            session.err.print(Text(f"{record.name} stopped; run the same command again to continue."))
            raise


def _source(session: Session, listed: IdList | None, source: str) -> tuple[Ids, int]:
    """Return the IDs and their number."""
    if listed:
        return Listed(listed.after), listed.total
    if source == FROM_LIST:
        return FromList(session.store.images), session.store.images.count()
    return FromSearch(session.search), session.search.count()


class ProgressLine(LiveLine):
    """The progress of one backfill."""

    def __init__(self, err: Console) -> None:
        super().__init__(err)
        self._recent = Recent()
        self._waits = ""

    def update(self, record: Backfill, waits: str) -> None:
        """Show the present record, and the reason why nothing is sent."""
        # The record may have been written a while ago; as of now, the rate falls while the backfill waits.
        now = replace(record, heartbeat_at_ms=_now_ms())
        rate, left = speed(now, self._recent.add(now))
        done = f"{now.cursor:,} of {now.total:,} processed, {now.submitted:,} submitted"
        line = f"{done}, {rate} per s, done in {left}" + (f" ({waits})" if waits else "")
        # A new reason is printed at once, but for a full lane, which is routine.
        self.show(line, at_once=waits not in ("", LANE_IS_FULL, self._waits))
        self._waits = waits


def _conclusions(ended: Backfill, unknown: Sequence[str]) -> Iterator[tuple[str, str]]:
    far = f"after {ended.cursor:,} of {counted(ended.total, 'ID')}: {counts(ended)}"
    if ended.state is BackfillState.DONE:
        yield f"{ended.name} is done: {counts(ended)}.", "green"
    elif ended.state is BackfillState.CANCELLED:
        yield f"{ended.name} was cancelled {far}. Submitted images stay on the queue.", "yellow"
    # Only a process that takes a backfill over ends this one while the backfill goes on.
    else:
        yield f"{ended.name} was taken over by {ended.owner} {far}.", "yellow"
    if ended.unknown:
        names = ", ".join(map(printable, unknown)) + (", …" if ended.unknown > len(unknown) else "")
        ids = counted(ended.unknown, "ID")
        yield f"{ids} not in the catalogue: {names}; add images with panopticon submit", "yellow"
    if ended.submitted:
        yield "Next: panopticon status --watch", "dim"


def _now_ms() -> int:
    return int(time.time() * 1000)
