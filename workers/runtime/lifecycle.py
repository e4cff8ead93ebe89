"""The main loop, the ready file, the log and the metrics of a long-running program."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import start_http_server

from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from workers.runtime.log_events import FORMAT_VARIABLE, JSON, JsonFormatter
from workers.runtime.terminal_text import PrintableFormatter

log = logging.getLogger(__name__)

TOUCH_EVERY_S = 5.0


def run_turns(turn: Callable[[], object], *, stopping: Callable[[], bool]) -> None:
    """Call `turn` again and again until `stopping` returns True; log the start and the end of it."""
    is_started = False
    while not stopping():
        turn()
        # A mistake in the settings shows in the first turn, and is to be the only line then.
        if not is_started:
            log.info("started: process %d", os.getpid())
            is_started = True
    log.info("stopping: no more messages are taken")


class ReadyFile:
    """A file that exists and is young while this process can take work; it grows old if the process hangs.

    It is removed while the process is parked and when it ends. Several processes may share one path: the file
    exists while any of them is ready.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a path, nothing is ever written."""
        self._path = path
        self._clock = clock
        self._touch_at_s = 0.0
        self._shown = False

    def show(self, *, ready: bool) -> None:
        """Create, touch or remove the file. Cheap enough to call every turn: it touches the file only every
        `TOUCH_EVERY_S` seconds."""
        if self._path is None or (ready and self._shown and self._clock() < self._touch_at_s):
            return
        # A process that never showed the file must not remove that of another one with the same path.
        if ready or self._shown:
            try:
                self._path.touch() if ready else self._path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("ready_file %s: %s", self._path, error.strerror)
        self._shown = ready
        self._touch_at_s = self._clock() + TOUCH_EVERY_S


def log_to_stderr(*, name: str) -> None:
    """Log each event as one line on standard error: as text, or as JSON if the parent process asks for it."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get(FORMAT_VARIABLE) == JSON:
        handler.setFormatter(JsonFormatter(name=name))
    else:
        handler.setFormatter(PrintableFormatter(f"%(asctime)s {name} %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def serve_metrics(metrics: Metrics, host: str, port: int | None) -> None:
    """Serve the metrics to Prometheus on this address and port; without a port, start no server.

    Raises: UsageError if the address is not one of this machine's, or the port is taken.
    """
    if port is None:
        return
    try:
        start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise UsageError(
            f"--metrics-port {port}: cannot listen on {host}:{port}: {error.strerror}; choose another port, "
            "or correct the setting metrics_host"
        ) from None
