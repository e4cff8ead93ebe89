"""`panopticon serve`: the models over HTTP, with the workers and the indexer of one machine."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from panopticon.models import find_card, parse_version
from panopticon.settings import Settings
from storage.originals import open_originals
from storage.stores import open_store
from workers.cli.session import Session, pass_session
from workers.queues import broker_of
from workers.runtime.child_processes import ChildProcesses
from workers.runtime.identity import who
from workers.runtime.lifecycle import log_to_stderr
from workers.runtime.stop_signals import Stopping
from workers.submission.index_plan import begin, register_all
from workers.submission.sample_photos import folders
from workers.submission.submit import scan_paths

log = logging.getLogger(__name__)

DEMO_DRAIN_S = 0.1


@click.command("serve")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME@VERSION",
    help="Model version to serve, any number of times [default: the setting `models`].",
)
@click.option("--only-http", is_flag=True, help="Serve HTTP alone, without workers and indexer.")
@click.option(
    "--demo", is_flag=True, help="Serve the sample photos from a database that is deleted at the end."
)
@pass_session
def serve_command(session: Session, models: tuple[str, ...], only_http: bool, demo: bool) -> None:
    """Answer HTTP requests with the models, until SIGTERM.

    Workers and an indexer are started too, and use the same model processes: what `panopticon submit` sends
    is tagged, scored and found. With --only-http, workers on other machines may use the service.
    """
    if demo and only_http:
        raise UsageError("--demo needs workers and an indexer; leave --only-http out")
    if not only_http and session.settings.tls_certificate is not None:
        raise UsageError(
            "with tls_certificate, add --only-http, and start workers with --espresso and the name of the "
            "certificate"
        )
    # Model processes open them again; here a mistake in their settings ends the command in one line.
    open_originals(session.settings)
    names = dict.fromkeys(models or session.settings.models)
    cards = [find_card(parse_version(name), session.settings.models_dir) for name in names]
    stopping = Stopping()
    stopping.listen()
    log_to_stderr(name="serve")
    try:
        # Only here, so that the help and the other commands need no HTTP server.
        from workers.serving.service import Service
    except ModuleNotFoundError as error:
        # A module of ours that is missing is a bug.
        if error.name is None or error.name.partition(".")[0] in ("panopticon", "storage", "workers"):
            raise
        raise UsageError(
            f"serve needs an HTTP server ({error.name} is missing): pip install 'panopticon[serve]'"
        ) from None
    with _settings(session, demo=demo) as settings:
        service = Service(settings, metrics=Metrics(), stopping=stopping)
        if only_http:
            service.run(cards)
        else:
            service.run(
                cards, companions=lambda url, token: _companions(settings, cards, url, token, demo=demo)
            )
    log.info("stopped")


@contextmanager
def _settings(session: Session, *, demo: bool) -> Iterator[Settings]:
    """Yield the settings; for a demo with a database of its own, which is deleted after the block."""
    if not demo:
        session.creates_database = True
        yield session.settings
        return
    with tempfile.TemporaryDirectory(prefix="panopticon-demo-") as folder:
        url = f"sqlite:///{Path(folder) / 'demo.db'}"
        own = {"database": url, "broker": "", "store": "", "search": ""}
        # No proxy has to learn that it ends.
        yield session.settings.model_copy(update={**own, "drain_s": DEMO_DRAIN_S})


@contextmanager
def _companions(
    settings: Settings, cards: Sequence[ModelCard], url: str, token: str, *, demo: bool
) -> Iterator[Callable[[], None]]:
    """Run a worker for each version, which uses the service at `url`, and an indexer, during the block.

    Yields a function that raises ProcessEnded if one of them has ended, and logs what they report.
    """
    with closing(open_store(settings.store_url)) as store, closing(broker_of(settings)) as broker:
        register_all(cards, store, broker, by=who())
        if demo:
            versions = [card.version_name for card in cards]
            now_ms = int(time.time() * 1000)
            photos = scan_paths([os.path.abspath(folder) for folder in folders()], store)
            begin(photos, versions, store=store, broker=broker, deletions=(), submit=True, now_ms=now_ms)
            log.info(
                "demo: %d sample photos wait for the models; once ready, try: curl '%s/v1/search?all=cat'",
                len(photos.entries),
                url,
            )
    children = ChildProcesses(settings.model_copy(update={"espresso": url, "espresso_token": token}))

    def check() -> None:
        for event in children.events():
            log.log(event.level, "%s: %s", event.name, event.message)

    with children.running([card.version_name for card in cards]):
        yield check
