"""`panopticon serve`: the models over HTTP."""

from __future__ import annotations

import logging

import click

from panopticon.metrics import Metrics
from panopticon.models import find_card, parse_version
from storage.originals import open_originals
from workers.cli.session import Session, pass_session
from workers.runtime.lifecycle import log_to_stderr
from workers.runtime.stop_signals import Stopping
from workers.serving.service import Service

log = logging.getLogger(__name__)


@click.command("serve")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME@VERSION",
    help="Model version to serve, any number of times [default: the setting `models`].",
)
@click.option("--only-http", is_flag=True, help="Serve HTTP alone, without workers and indexer.")
@pass_session
def serve_command(session: Session, models: tuple[str, ...], only_http: bool) -> None:
    """Answer HTTP requests with the models, until SIGTERM."""
    # Model processes open them again; here a mistake in their settings ends the command in one line.
    open_originals(session.settings)
    names = dict.fromkeys(models or session.settings.models)
    cards = [find_card(parse_version(name), session.settings.models_dir) for name in names]
    stopping = Stopping()
    stopping.listen()
    log_to_stderr(name="serve")
    service = Service(
        session.settings,
        metrics=Metrics(),
        stopping=stopping,
        listening=lambda url: log.info("serving on %s", url),
    )
    service.run(cards)
    log.info("stopped")
