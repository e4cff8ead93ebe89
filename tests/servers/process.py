"""The base class of the servers that tests start: one process each, which a test may stop, kill or pause."""

from __future__ import annotations

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.servers.guardian import start_guarded
from tests.servers.pausing import stop_still

LOG = "console.log"
LAST_LINES = 20
LINE_LENGTH = 300


class ServerProcess(ABC):
    """One server on loopback. Its data outlives a stop, and a kill."""

    START_S = 180.0
    STOP_S = 30.0

    def __init__(self, home: Path) -> None:
        """`home`: an absolute path, of this server alone."""
        self.home = home
        self.log = home / LOG
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Write the settings and start the program, by `_spawn`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether it serves clients."""

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Keep it running until the block ends."""
        try:
            self.start()
            yield self
        finally:
            self.remove()

    def start(self) -> None:
        """Return when it serves clients.

        Raises: RuntimeError with the end of its log if it ends, or if it does not come up within START_S.
        """
        process = self._process = self._launch()
        until_s = time.monotonic() + self.START_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > until_s:
                self.kill()
                raise RuntimeError(
                    f"{type(self).__name__} did not start; the end of its log:\n{self._log_end()}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order, as an operator does; kill it if it has not ended after STOP_S."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Hold it still: it keeps its connections and does not answer, like a machine that is cut off."""
        if self._process is not None:
            stop_still(self._process)

    def resume(self) -> None:
        """Let it go on after a `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Kill it for good, with all that was started for it."""
        self.kill()

    def _spawn(
        self, command: Sequence[str | Path], environ: Mapping[str, str], *, log: str = LOG, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program in the home, its output appended to a file there."""
        with (self.home / log).open("ab") as written:
            return start_guarded(
                command,
                environ=environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                **options,
            )

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        # A paused process gets the signal only once it goes on.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(self.STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line[:LINE_LENGTH] for line in lines[-LAST_LINES:])


def wait_until(ready: Callable[[], bool], what: str, *, limit_s: float) -> None:
    """Return when `ready` is true. Raises: TimeoutError naming `what`."""
    until_s = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > until_s:
            raise TimeoutError(f"{what}: not ready within {limit_s:.0f} s")
        time.sleep(0.1)
