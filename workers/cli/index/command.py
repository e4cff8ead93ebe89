"""`panopticon index`: a folder of photos, tagged and scored, with no server."""

from __future__ import annotations

import time

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from panopticon.cards.cards import ModelCard
from panopticon.models import find_card, parse_version
from panopticon.models.weights import refuse_altered_weights
from panopticon.results.outputs import VersionName
from workers.cli.index.report import IndexReport, Run
from workers.cli.session import Session, json_option, pass_session
from workers.runtime.child_processes import EmbeddedProcesses
from workers.runtime.identity import who
from workers.submission.index_plan import (
    Remaining,
    make_plan,
    register_all,
    remaining,
    submit_missing,
    submit_new,
    wait_until_done,
)
from workers.submission.submit import Submission, scan_paths
from workers.worker.run import prepare_model

POLL_S = 0.2


@click.command("index")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option(
    "--model", "models", multiple=True, metavar="NAME@VERSION", help="Instead of the setting `models`."
)
@click.option("--show", type=click.IntRange(0), default=50, show_default=True, help="Photos to print.")
@json_option
@pass_session
def index_command(
    session: Session, paths: tuple[str, ...], models: tuple[str, ...], show: int, as_json: bool
) -> None:
    """Tag and score every photo under PATH…, and wait for it.

    Needs no server: everything is kept in one SQLite database. Run it again at any time; only what is new or
    changed is worked on.
    """
    cards = [_card(session, name) for name in dict.fromkeys(models or session.settings.models)]
    submission = scan_paths(paths, session.store.catalogue)
    for card in cards:
        _prepare(session, card)
    register_all(cards, session.store, session.broker, by=who())
    run = _run(session, submission, [card.version_name for card in cards])
    report = IndexReport(session.store, session.search, submission, cards, run)
    if as_json:
        session.print_json(report.as_json())
    else:
        session.out.print(report.shown(max_photos=show))


def _card(session: Session, name: str) -> ModelCard:
    return find_card(parse_version(name), session.settings.models_dir)


def _prepare(session: Session, card: ModelCard) -> None:
    refuse_altered_weights(card)
    with session.err.status(f"preparing {card.version_name} (once; a minute at most)"):
        prepare_model(card, session.settings)


def _run(session: Session, submission: Submission, versions: list[VersionName]) -> Run:
    begun_s = time.monotonic()
    plan = make_plan(submission, versions, session.store)
    submit_new(plan, session.broker)
    processes = _Processes(session, versions)
    processes.finish(force=bool(plan.new))
    # Only now is it certain that what is missing waits in no queue.
    later = make_plan(submission, versions, session.store)
    submit_missing(later, session.broker)
    processes.finish(force=later.work)
    left = make_plan(submission, versions, session.store) if later.work else later
    finished = plan.unfinished - left.unfinished
    return Run(plan=plan, finished=finished, seconds=time.monotonic() - begun_s)


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class _Processes:
    """Runs workers until every queue is empty, with a bar for each version."""

    def __init__(self, session: Session, versions: list[VersionName]) -> None:
        self._session = session
        self._versions = versions

    def finish(self, *, force: bool) -> None:
        left = remaining(self._session.broker, self._versions)
        if left.none and not force:
            return
        # A person chose this folder and is watching: many broken files are no reason to stop.
        settings = self._session.settings.model_copy(update={"dead_share": 1.0})
        processes = EmbeddedProcesses(settings)
        with self._progress() as progress, processes.running(self._versions):
            bars = {v: progress.add_task(str(v), total=left.images[v]) for v in self._versions}

            def watch(now: Remaining) -> None:
                for version, bar in bars.items():
                    progress.update(bar, completed=left.images[version] - now.images[version])
                for line in processes.news():
                    progress.console.print(line, markup=False)

            wait_until_done(self._session.broker, self._versions, watch=watch, every_s=POLL_S)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self._session.err,
        )
