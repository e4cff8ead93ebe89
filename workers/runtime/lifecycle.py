"""Signals, and the one loop that every long-running program here is."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from prometheus_client import start_http_server

from panopticon.metrics import Metrics

log = logging.getLogger(__name__)

TOUCH_EVERY_S = 5.0

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


class ReadyFile:
    """A file that is there, and young, while work can be taken: its age also gives a hung process away.

    Gone while parked and after the end. Processes that share one path are ready while any of them is.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """No path: nothing is written."""
        self._path = path
        self._clock = clock
        self._touch_at_s = 0.0
        self._shown = False

    def show(self, *, ready: bool) -> None:
        """Called every turn; touches the file each `TOUCH_EVERY_S` only."""
        if self._path is None or (ready and self._shown and self._clock() < self._touch_at_s):
            return
        if ready or self._shown:
            self._write(self._path, ready=ready)
        self._shown = ready
        self._touch_at_s = self._clock() + TOUCH_EVERY_S

    def _write(self, path: Path, *, ready: bool) -> None:
        try:
            path.touch() if ready else path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("ready_file %s: %s", path, error.strerror)


def log_to_stderr(*, name: str) -> None:
    """One line an event, on standard error."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format=f"%(asctime)s {name} %(levelname)s %(message)s"
    )


def serve_metrics(metrics: Metrics, port: int | None) -> None:
    """Answer Prometheus on this port of every interface; no port, no server."""
    if port is not None:
        start_http_server(port, registry=metrics.registry)
