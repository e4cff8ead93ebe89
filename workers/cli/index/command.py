"""`panopticon index`: tag and score files and folders with no server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.models import find_card, parse_version
from panopticon.models.weights import refuse_altered_weights
from panopticon.results.folder_entries import FolderEntry
from panopticon.results.outputs import VersionName
from storage.originals import open_originals
from storage.sqlite.database import refuse_read_only
from workers.cli.folders.changes import confirmed_deletions, folder_options
from workers.cli.folders.skipped import print_unmatched
from workers.cli.formatting import counted
from workers.cli.index.report import IndexReport, Run
from workers.cli.index.waiting import Stalls, waiting_json, waiting_lines
from workers.cli.session import Session, exclude_option, json_option, pass_creating_session
from workers.runtime.child_processes import ChildProcesses
from workers.runtime.identity import who
from workers.runtime.log_events import LogEvent
from workers.runtime.stop_signals import Interrupted, interrupt_on_stop
from workers.runtime.terminal_text import printable
from workers.submission.folder_record import complete
from workers.submission.index_plan import (
    Remaining,
    begin,
    make_plan,
    register_all,
    remaining,
    submit_missing,
    submit_new,
    wait_until_done,
    waiting_images,
)
from workers.submission.submit import Submission, scan_paths
from workers.worker.run import prepare_worker

POLL_S = 0.2
EXIT_NOT_ALL_STORED = 1
PROBE_ID = "probe"
"""An image ID that is looked up to see whether there is an index; the answer itself does not matter."""
RETRY_WAIT_S = 5.0
"""Longest rest of a retry delay that the command waits for once all else is done."""


@click.command("index")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME@VERSION",
    help="Model version to run, any number of times [default: the setting `models`].",
)
@click.option(
    "--show", type=click.IntRange(0), default=50, show_default=True, help="Number of photos to print."
)
@exclude_option
@folder_options
@json_option
@pass_creating_session
def index_command(
    session: Session,
    *,
    paths: tuple[str, ...],
    models: tuple[str, ...],
    show: int,
    exclude: tuple[str, ...],
    prune: bool | None,
    yes: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Tag and score every photo under PATH….

    The command waits until all is done, except for photos that are tried again later. It needs no server:
    everything is stored in one SQLite database. Run it again at any time; only new and changed photos are
    processed.

    Exit code 1 if a photo was refused or waits for another try, or something cannot be read; all else is
    indexed.
    """
    interrupt_on_stop()
    names = dict.fromkeys(models or session.settings.models)
    cards = [find_card(parse_version(name), session.settings.models_dir) for name in names]
    _refuse_lists(paths)
    # Model processes open them again; here a mistake in their settings ends the command in one line.
    open_originals(session.settings)
    rules = session.walk_rules(exclude)
    _refuse_lost_index(session)
    with session.err.status("comparing photos with the folder list"):
        submission = scan_paths(paths, session.store, rules=rules, verify=verify)
    print_unmatched(session.err, exclude, rules)
    deletions = confirmed_deletions(session, submission.folders, prune=prune, yes=yes)
    # Before the minute that a model may take.
    urls = (session.settings.store_url, session.settings.broker_url, session.settings.search_url)
    refuse_read_only(*urls)
    for card in cards:
        refuse_altered_weights(card)
        # An empty folder should not take that minute.
        if submission.entries:
            with session.err.status(f"preparing {card.version_name} (once; a minute at most)"):
                prepare_worker(card, session.settings)
    register_all(cards, session.store, session.broker, by=who())
    session.name_new_database()
    versions = [card.version_name for card in cards]
    run = _run(session, submission, versions, deletions)
    waiting = waiting_images(session.broker, versions)
    report = IndexReport(session.store, session.search, submission, cards, run)
    if as_json:
        session.print_json(report.as_json() | {"retrying": waiting_json(waiting)})
    else:
        session.out.print(report.as_text(max_photos=show))
        for line in waiting_lines(waiting, now_ms=int(time.time() * 1000)):
            session.out.print(Text(line))
    if not report.all_stored:
        click.get_current_context().exit(EXIT_NOT_ALL_STORED)


def _refuse_lists(paths: tuple[str, ...]) -> None:
    """Raise: UsageError if a path is a list, which `submit` takes."""
    for path in paths:
        if path == "-" or (path.lower().endswith(".csv") and os.path.isfile(path)):
            name = "standard input" if path == "-" else printable(path)
            raise UsageError(f"index takes files and folders, and {name} is a list: panopticon submit {path}")


def _refuse_lost_index(session: Session) -> None:
    """Raise: Unavailable if there are images and no search index: the indexer would wait for ever."""
    if not session.search.exists() and session.store.images.image_ids(limit=1):
        # It raises the error with the command that rebuilds the index.
        session.search.get([PROBE_ID])


def _run(
    session: Session,
    submission: Submission,
    versions: list[VersionName],
    deletions: Sequence[FolderEntry] | None,
) -> Run:
    """Submit what is new, run what is missing, and wait for both. Starts processes only if there is work."""
    begun_s, now_ms = time.monotonic(), int(time.time() * 1000)
    waiting = waiting_images(session.broker, versions)
    queued = remaining(session.broker, versions)
    is_idle = queued.none or queued.only_retrying
    plan = left = begin(
        submission,
        versions,
        store=session.store,
        broker=session.broker,
        deletions=deletions or (),
        # Otherwise what is new may wait in the queues already, since a call that was ended, and run twice.
        submit=is_idle,
        now_ms=now_ms,
    )
    if plan.without(waiting).work or not is_idle or deletions:
        with _Workers(session, versions).running() as workers:
            workers.finish()
            # Only now is it certain that what is missing does not wait in a queue, except on a retry delay.
            waiting = waiting_images(session.broker, versions)
            left = make_plan(submission, versions, session.store)
            lacking = left.without(waiting)
            if lacking.work:
                submit_new(lacking, session.broker)
                submit_missing(lacking, session.broker)
                workers.finish()
                left = make_plan(submission, versions, session.store)
    complete(submission.folders, session.store, now_ms=now_ms)
    finished = plan.unfinished - left.unfinished
    return Run(
        plan=plan,
        finished=finished,
        deleted=None if deletions is None else len(deletions),
        begun_ms=now_ms,
        seconds=time.monotonic() - begun_s,
    )


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class _Workers:
    """The processes that work through the queues, with a progress bar for each version."""

    def __init__(self, session: Session, versions: list[VersionName]) -> None:
        self._broker = session.broker
        self._versions = versions
        # A person chose this folder and is watching: so many broken files do not stop it.
        self._processes = ChildProcesses(session.settings.model_copy(update={"dead_share": 1.0}))
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=session.err,
        )
        self._bars: dict[VersionName, TaskID] = {}
        self._stalls = Stalls(clock=time.monotonic)

    @contextmanager
    def running(self) -> Iterator[_Workers]:
        """Start the processes on entry; on exit, drain and stop them."""
        with self._progress, self._reporting_a_stop(), self._processes.running(self._versions):
            self._bars = {
                version: self._progress.add_task(str(version), total=0) for version in self._versions
            }
            yield self

    @contextmanager
    def _reporting_a_stop(self) -> Iterator[None]:
        """After a stop signal, print once the processes have ended how much is done, and what comes next."""
        try:
            yield
        except Interrupted as stop:
            done = sum(int(task.completed) for task in self._progress.tasks)
            total = sum(int(task.total or 0) for task in self._progress.tasks)
            self._print(
                f"stopped by {stop.name}: {done:,} of {counted(total, 'output')} were ready;"
                " the next panopticon index continues with the rest"
            )
            raise

    def finish(self) -> None:
        """Wait until every queue is empty, but not for a retry delay that takes longer than `RETRY_WAIT_S`.

        Raises: ProcessEnded if a process ended.
        """
        left, tasks = remaining(self._broker, self._versions), self._progress.tasks
        done = {version: int(tasks[bar].completed) for version, bar in self._bars.items()}
        totals = {version: done[version] + left.images[version] for version in self._versions}

        def watch(now: Remaining) -> None:
            for version, bar in self._bars.items():
                total = totals[version]
                self._progress.update(bar, total=total, completed=total - now.images[version])
            for event in self._processes.events():
                self._show(event)
            for line in self._stalls.lines(now):
                self._print(line, style="yellow")

        wait_until_done(self._broker, self._versions, watch=watch, every_s=POLL_S, retry_wait_s=RETRY_WAIT_S)

    def _show(self, event: LogEvent) -> None:
        """Print warnings and errors, and mark the bar of a version while its worker is parked."""
        for version, bar in self._bars.items():
            if event.parked is not None and event.name == str(version):
                self._progress.update(bar, description=f"{version} (parked)" if event.parked else event.name)
        if event.level >= logging.WARNING:
            style = "red" if event.level >= logging.ERROR else "yellow"
            self._print(f"{event.name}: {event.message}", style=style)

    def _print(self, line: str, *, style: str = "") -> None:
        self._progress.console.print(Text(printable(line), style=style))
