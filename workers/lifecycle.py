"""Signals, and the one loop that every long-running program here is."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from prometheus_client import start_http_server

from panopticon.metrics import Metrics

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Set by SIGTERM or SIGINT; a second signal ends the process at once, as if nothing were handled."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def listen(self) -> None:
        """Only from the main thread."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._event.set()


def run_turns(turn: Callable[[], object], *, stopping: Callable[[], bool]) -> None:
    """Turn after turn until a signal."""
    while not stopping():
        turn()


def log_to_stderr(*, name: str) -> None:
    """One line an event, on standard error."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format=f"%(asctime)s {name} %(levelname)s %(message)s"
    )


def serve_metrics(metrics: Metrics, port: int | None) -> None:
    """Answer Prometheus on this port of every interface; no port, no server."""
    if port is not None:
        start_http_server(port, registry=metrics.registry)
