"""`panopticon indexer`: bring results and uploads into the catalogue and the search index."""

from __future__ import annotations

import logging

import click

from panopticon.metrics import Metrics
from panopticon.registry.heartbeats import ProcessRole
from workers.cli.session import Session, metrics_option, pass_creating_session
from workers.indexer.indexer import Indexer
from workers.runtime.heartbeat import HeartbeatWriter
from workers.runtime.lifecycle import ReadyFile, log_to_stderr, run_turns, serve_metrics
from workers.runtime.stop_signals import Stopping

log = logging.getLogger(__name__)


@click.command("indexer")
@metrics_option
@pass_creating_session
def indexer_command(session: Session, metrics_port: int | None) -> None:
    """Bring results and uploads into catalogue and search.

    It runs until SIGTERM.
    """
    stopping = Stopping()
    stopping.listen()
    log_to_stderr(name="indexer")
    metrics = Metrics()
    serve_metrics(metrics, session.settings.metrics_host, metrics_port)
    indexer = Indexer(
        settings=session.settings,
        broker=session.broker,
        store=session.store,
        search=session.search,
        metrics=metrics,
    )
    indexer.refuse_mistakes()
    ready = ReadyFile(session.settings.ready_file)
    heartbeat = HeartbeatWriter(session.store.heartbeats, role=ProcessRole.INDEXER)
    done = 0

    def turn() -> None:
        nonlocal done
        done += indexer.turn()
        ready.show(ready=indexer.parked is None)
        heartbeat.turn(ready=True, parked=indexer.parked, done=done)

    run_turns(turn, stopping=stopping)
    ready.show(ready=False)
    heartbeat.end(done=done)
    log.info("stopped")
