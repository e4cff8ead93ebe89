"""`panopticon worker`: the long-running program that runs one model."""

from __future__ import annotations

import logging
import sys
import time

import click

from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from panopticon.models import find_card, parse_version
from storage.originals import open_originals
from storage.sqlite.database import refuse_read_only
from workers.cli.session import Session, metrics_option, pass_session
from workers.remote_model.address import Address
from workers.runtime.end_with_parent import start_child
from workers.runtime.lifecycle import log_to_stderr, serve_metrics
from workers.runtime.stop_signals import Stopping
from workers.worker.run import prepare_worker, run_worker

log = logging.getLogger(__name__)

REPLICA_POLL_S = 0.2


@click.command("worker")
@click.option("--model", required=True, metavar="NAME@VERSION", help="The one model version it runs.")
@click.option("--replicas", type=click.IntRange(1, 64), default=1, show_default=True, help="Workers to run.")
@click.option(
    "--espresso", metavar="URL", help="The `panopticon serve` that runs the model [default: the setting]."
)
@metrics_option
@pass_session
def worker_command(
    session: Session, model: str, replicas: int, espresso: str | None, metrics_port: int | None
) -> None:
    """Run one model on the images of its queue, until SIGTERM.

    The model runs in a process of the worker, or in the service that `--espresso` names.
    """
    settings = session.settings
    if espresso is not None:
        settings = settings.model_copy(update={"espresso": espresso})
    if settings.espresso:
        Address.parse(settings.espresso)
    # What fetches originals opens them again; here a mistake in their settings ends the command in one line.
    open_originals(settings)
    # Before a model is converted, which may take a minute.
    refuse_read_only(settings.store_url, settings.broker_url)
    if replicas > 1:
        if metrics_port is not None:
            raise UsageError("--metrics-port is for one worker; give it without --replicas")
        # Once, before they start, so that the replicas do not all convert the model.
        prepare_worker(find_card(parse_version(model), settings.models_dir), settings)
        log_to_stderr(name=model)
        sys.exit(_run_replicas(replicas))
    stopping = Stopping()
    stopping.listen()
    log_to_stderr(name=model)
    card = find_card(parse_version(model), settings.models_dir)
    metrics = Metrics()
    serve_metrics(metrics, settings.metrics_host, metrics_port)
    run_worker(card, settings, metrics=metrics, stopping=stopping)


def _run_replicas(replicas: int) -> int:
    """Run the same command several times. One that fails stops them all, and its exit code is returned."""
    stopping = Stopping()
    stopping.listen()
    # The same command line; a later option wins, so each child runs one worker.
    arguments = [*sys.argv[1:], "--replicas=1"]
    children = [start_child("workers.cli.main", arguments) for _ in range(replicas)]
    log.info("started: %d replicas", replicas)
    while not stopping() and all(child.poll() is None for child in children):
        time.sleep(REPLICA_POLL_S)
    for child in children:
        if not stopping() and child.returncode is not None:
            log.error("replica %d ended by itself with %s; stopping all", child.pid, child.returncode)
    for child in children:
        child.terminate()
    return max((abs(child.wait()) for child in children), default=0)
