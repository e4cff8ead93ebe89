"""`panopticon index`: tag and score files and folders with no server."""

from __future__ import annotations

import logging
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

from panopticon.models import find_card, parse_version
from panopticon.models.weights import refuse_altered_weights
from panopticon.results.folder_entries import FolderEntry
from panopticon.results.outputs import VersionName
from workers.cli.folder_report import confirmed_deletions, folder_options
from workers.cli.index.report import IndexReport, Run
from workers.cli.session import Session, json_option, pass_session
from workers.runtime.child_processes import ChildProcesses
from workers.runtime.identity import who
from workers.runtime.log_events import LogEvent
from workers.runtime.terminal_text import printable
from workers.submission.folder_record import complete
from workers.submission.index_plan import (
    Remaining,
    begin,
    make_plan,
    register_all,
    remaining,
    submit_missing,
    wait_until_done,
)
from workers.submission.submit import Submission, scan_paths
from workers.worker.run import prepare_model

POLL_S = 0.2


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
@folder_options
@json_option
@pass_session
def index_command(
    session: Session,
    *,
    paths: tuple[str, ...],
    models: tuple[str, ...],
    show: int,
    prune: bool | None,
    yes: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Tag and score every photo under PATH….

    The command waits until all is done. It needs no server: everything is stored in one SQLite database. Run
    it again at any time; only new and changed photos are processed.
    """
    names = dict.fromkeys(models or session.settings.models)
    cards = [find_card(parse_version(name), session.settings.models_dir) for name in names]
    with session.err.status("comparing photos with the folder list"):
        submission = scan_paths(paths, session.store, verify=verify)
    deletions = confirmed_deletions(session, submission.folders, prune=prune, yes=yes)
    for card in cards:
        refuse_altered_weights(card)
        with session.err.status(f"preparing {card.version_name} (once; a minute at most)"):
            prepare_model(card, session.settings)
    register_all(cards, session.store, session.broker, by=who())
    run = _run(session, submission, [card.version_name for card in cards], deletions)
    report = IndexReport(session.store, session.search, submission, cards, run)
    if as_json:
        session.print_json(report.as_json())
    else:
        session.out.print(report.as_text(max_photos=show))


def _run(
    session: Session,
    submission: Submission,
    versions: list[VersionName],
    deletions: Sequence[FolderEntry] | None,
) -> Run:
    """Submit what is new, run what is missing, and wait for both. Starts processes only if there is work."""
    begun_s, now_ms = time.monotonic(), int(time.time() * 1000)
    plan = left = begin(
        submission,
        versions,
        store=session.store,
        broker=session.broker,
        deletions=deletions or (),
        now_ms=now_ms,
    )
    if plan.work or not remaining(session.broker, versions).none:
        with _Workers(session, versions).running() as workers:
            workers.finish()
            # Only now is it certain that what is missing does not wait in a queue.
            left = make_plan(submission, versions, session.store)
            if left.work:
                submit_missing(left, session.broker)
                workers.finish()
                left = make_plan(submission, versions, session.store)
    complete(submission.folders, session.store, now_ms=now_ms)
    finished = plan.unfinished - left.unfinished
    return Run(
        plan=plan,
        finished=finished,
        deleted=None if deletions is None else len(deletions),
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

    @contextmanager
    def running(self) -> Iterator[_Workers]:
        """Start the processes on entry; on exit, drain and stop them."""
        with self._progress, self._processes.running(self._versions):
            self._bars = {
                version: self._progress.add_task(str(version), total=0) for version in self._versions
            }
            yield self

    def finish(self) -> None:
        """Wait until every queue is empty. Raises: ProcessEnded if a process ended."""
        left, tasks = remaining(self._broker, self._versions), self._progress.tasks
        done = {version: int(tasks[bar].completed) for version, bar in self._bars.items()}
        totals = {version: done[version] + left.images[version] for version in self._versions}

        def watch(now: Remaining) -> None:
            for version, bar in self._bars.items():
                total = totals[version]
                self._progress.update(bar, total=total, completed=total - now.images[version])
            for event in self._processes.events():
                self._show(event)

        wait_until_done(self._broker, self._versions, watch=watch, every_s=POLL_S)

    def _show(self, event: LogEvent) -> None:
        """Print warnings and errors, and mark the bar of a version while its worker is parked."""
        for version, bar in self._bars.items():
            if event.parked is not None and event.name == str(version):
                self._progress.update(bar, description=f"{version} (parked)" if event.parked else event.name)
        if event.level >= logging.WARNING:
            style = "red" if event.level >= logging.ERROR else "yellow"
            self._progress.console.print(Text(printable(f"{event.name}: {event.message}"), style=style))
