"""`panopticon backfill`: run a version over what is there, by ID."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.models import parse_version
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.results.outputs import VersionName
from workers.backfill.feeder import LANE_IS_FULL, Context, Feeder, FromSearch, Ids, Listed
from workers.backfill.progress import Recent
from workers.backfill.records import BackfillRequest, refuse_unrouted, take_up
from workers.backfill.sorted_ids import IdList, sorted_ids
from workers.cli.backfill.report import backfill_json, counts, speed
from workers.cli.formatting import counted
from workers.cli.session import Session, json_option
from workers.runtime.identity import who
from workers.runtime.terminal_text import printable

EXIT_NOT_DONE = 1
STDIN = "-"
PROGRESS_EVERY_S = 30.0
"""Where nobody looks at a terminal."""


@click.command("backfill")
@click.option("--model", required=True, metavar="NAME@V", help="The version to run.")
@click.option("--ids", "ids_file", metavar="FILE|-", help="A file of image IDs, one a line.")
@click.option("--from-search", is_flag=True, help="The images that search holds, instead of a list.")
@json_option
@click.pass_context
def backfill_command(
    context: click.Context, *, model: str, ids_file: str | None, from_search: bool, as_json: bool
) -> None:
    """Run a version over a list of images: what the store lacks of it goes to its queue, lane backfill.

    The queue is kept short, so this goes on until the last ID was looked at. Killed or interrupted, the same
    command goes on where it stopped. From another terminal: panopticon backfill list, or show, pause, resume
    or cancel with its name. Exit code 1 if it was cancelled, or taken over by another process.
    """
    session: Session = context.obj
    version = parse_version(model)
    if (ids_file is None) is not from_search:
        raise UsageError("which images? --ids FILE with one image ID a line, or --from-search")
    refuse_unrouted(version, session.store)
    # Bound first, so that what is uploaded after the list was drawn reaches the version by itself.
    session.broker.topology.bind(version)
    with _listed(ids_file) as listed:
        ended, feeder = _run(session, version, listed, ids_file or "search")
    if as_json:
        session.print_json(_json(ended, feeder.unknown))
    else:
        _print(session, ended, feeder.unknown)
    context.exit(0 if ended.state is BackfillState.DONE else EXIT_NOT_DONE)


@contextmanager
def _listed(ids_file: str | None) -> Iterator[IdList | None]:
    """None where the IDs are drawn from search. Raises: UsageError."""
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
    """Raises: UsageError."""
    ids: Ids = Listed(listed.after) if listed else FromSearch(session.search)
    wanted = BackfillRequest(
        version=version,
        source=source,
        ids_sha256=listed.sha256 if listed else "",
        total=listed.total if listed else session.search.count(),
        by=who(),
        owner=f"process {os.getpid()} of {who()}",
    )
    record = take_up(wanted, session.store.backfills, now_ms=_now_ms())
    if record.cursor or record.state is BackfillState.PAUSED:
        session.err.print(Text(f"{record.name} goes on after {record.cursor:,} of {record.total:,} IDs."))
    with ProgressLine(session.err) as progress_line:
        feeder = Feeder(
            record,
            ids,
            store=session.store,
            broker=session.broker,
            settings=session.settings,
            around=Context(now_ms=_now_ms, sleep=time.sleep, told=progress_line.tell),
        )
        try:
            return feeder.feed(), feeder
        except KeyboardInterrupt:
            session.err.print(Text(f"{record.name} stopped; the same command goes on."))
            raise


class ProgressLine:
    """One line of progress: kept up to date on a terminal, else written anew now and then."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None
        self._recent = Recent()
        self._told_s = time.monotonic()
        self._waits = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def tell(self, record: Backfill, waits: str) -> None:
        """What `Surroundings.told` hears."""
        # As of now, though it was written a while ago: while it waits it makes no headway.
        now = replace(record, heartbeat_at_ms=_now_ms())
        line = _progress(now, self._recent.add(now), waits)
        if self._live:
            self._live.update(Text(line, style="dim"), refresh=True)
        elif self._is_news(waits) or time.monotonic() - self._told_s >= PROGRESS_EVERY_S:
            self._told_s = time.monotonic()
            self._err.print(line, markup=False)
        self._waits = waits

    def _is_news(self, waits: str) -> bool:
        return waits not in ("", LANE_IS_FULL, self._waits)


def _progress(record: Backfill, before: Backfill, waits: str) -> str:
    rate, left = speed(record, before)
    done = f"{record.cursor:,} of {record.total:,} looked at, {record.submitted:,} submitted"
    return f"{done}, {rate} per s, done in {left}" + (f" ({waits})" if waits else "")


def _json(ended: Backfill, unknown: Sequence[str]) -> dict[str, Any]:
    return {
        **backfill_json(ended, None, now_ms=_now_ms()),
        "unknown_ids": list(unknown),
    }


def _print(session: Session, ended: Backfill, unknown: Sequence[str]) -> None:
    for line, style in _conclusions(ended, unknown):
        session.out.print(Text(line, style=style))


def _conclusions(ended: Backfill, unknown: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield _outcome(ended)
    if ended.unknown:
        names = ", ".join(map(printable, unknown)) + (", …" if ended.unknown > len(unknown) else "")
        ids = counted(ended.unknown, "ID")
        yield f"{ids} unknown to the catalogue: {names}; panopticon submit makes images known", "yellow"
    if ended.submitted:
        yield "Next: panopticon status --watch", "dim"


def _outcome(ended: Backfill) -> tuple[str, str]:
    if ended.state is BackfillState.DONE:
        return f"{ended.name} is done: {counts(ended)}.", "green"
    far = f"after {ended.cursor:,} of {counted(ended.total, 'ID')}: {counts(ended)}"
    if ended.state is BackfillState.CANCELLED:
        return f"{ended.name} was cancelled {far}. What was submitted stays on the queue.", "yellow"
    return f"{ended.name} was taken over by {ended.owner} {far}.", "yellow"


def _now_ms() -> int:
    return int(time.time() * 1000)
