"""The child process that holds one model: started, ended, and started again after a pause."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from random import SystemRandom

from panopticon.cards.cards import ModelCard
from panopticon.engines.gpu_memory import jax_environment
from panopticon.metrics import Metrics
from panopticon.scheduling.backoff import Backoff
from panopticon.settings import PREFIX, Settings
from workers.model_process.frames import Frame, FrameStream, PeerGone, StartedFrame
from workers.model_process.gpu import gpu_total_mb
from workers.model_process.interpreter import refuse_unfit_interpreter
from workers.model_process.progress import ProgressReader
from workers.runtime.end_with_parent import start_child

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
CLOSED = "closed"
"""The reason of an end that the parent wanted."""
SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
"""Room for the vectors of a whole credit, so that the model never waits for the store."""
ENDING_S = 2.0
"""Time for a child that closed its socket to exit, so that its own exit status is read and not our kill."""


class ChildProcess:
    """One child at a time, and the socket to it. Used by one thread."""

    def __init__(
        self, card: ModelCard, settings: Settings, *, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._card = card
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: FrameStream | None = None
        self._progress: ProgressReader | None = None
        self._heard_s = 0.0
        self._backoff = Backoff(
            first_s=FIRST_PAUSE_S, max_s=settings.park_max_s, random=SystemRandom().random
        )
        self._start_not_before_s = 0.0
        self._last_end = ""

    @property
    def running(self) -> bool:
        """Return whether a child was started and has not been ended here; it may have died by itself."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def fileno(self) -> int | None:
        """Return the descriptor of the socket to the child; None while no child runs."""
        return None if self._stream is None else self._stream.fileno()

    @property
    def silent_s(self) -> float:
        """Return the seconds since the child was started or a frame of it arrived."""
        return self._clock() - self._heard_s

    def start_when_due(self, *, wait_s: float) -> bool:
        """Start a child and return True; during a pause before the next start, wait up to `wait_s` of it.

        Raises: UsageError if the card's own interpreter cannot run a model process.
        """
        pause_s = self._start_not_before_s - self._clock()
        if pause_s > 0:
            time.sleep(min(pause_s, wait_s))
            return False
        self._start()
        return True

    def delay_next_start(self) -> None:
        """Make the next start wait, longer each time until `reset_delay`."""
        self._start_not_before_s = self._clock() + self._backoff.next_s()

    def reset_delay(self) -> None:
        self._backoff.reset()

    def send(self, frames: Iterable[Frame]) -> None:
        """Raise PeerGone if the child has died, FrameError for a frame that is too large."""
        if self._stream is None:
            raise PeerGone("not started")
        self._stream.send(frames)

    def receive(self, *, wait_s: float) -> list[Frame]:
        """Return the frames that have arrived, waiting up to `wait_s` for the first.

        Raises: PeerGone, FrameError.
        """
        if self._stream is None:
            raise PeerGone("not started")
        frames = self._stream.receive(wait_s=wait_s)
        if frames:
            self._heard_s = self._clock()
        return frames

    def progress(self) -> list[StartedFrame]:
        """Return the steps that were reported since the last call. Raises: FrameError."""
        return [] if self._progress is None else self._progress.read()

    def end(self, reason: str, *, patience_s: float = ENDING_S) -> int | None:
        """Close the socket, on which a healthy child exits by itself, and kill a child that does not.

        Returns its exit status, -N for signal N, or None if there was no child. `reason` labels the restart
        in the metrics.
        """
        if self._stream is not None:
            self._stream.close()
        if self._progress is not None:
            self._progress.close()
        process, self._process, self._stream, self._progress = self._process, None, None, None
        if process is None:
            return None
        self._last_end = reason
        try:
            status = process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        level = logging.INFO if reason == CLOSED else logging.WARNING
        log.log(level, "model process %d ended: %s (%s)", process.pid, status_text(status), reason)
        return status

    def _start(self) -> None:
        refuse_unfit_interpreter(self._card)
        # The child gets the settings as they are in this process, whichever way they came into it.
        environ = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        environ |= self._settings.without_addresses().as_environ()
        share_mb = self._card.needs.gpu_memory_mb
        if share_mb and (total_mb := gpu_total_mb()):
            environ |= jax_environment(share_mb=share_mb, total_mb=total_mb)
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        progress, their_progress = os.pipe()
        self._stream = FrameStream(ours, send_timeout_s=self._settings.item_timeout_s)
        self._progress = ProgressReader(progress)
        with theirs, os.fdopen(their_progress, "wb"):
            self._process = start_child(
                "workers.model_process.main",
                [
                    f"--fd={theirs.fileno()}",
                    f"--progress-fd={their_progress}",
                    f"--card={self._card.folder / 'card.toml'}",
                ],
                python=self._card.own_python,
                env=environ,
                pass_fds=[theirs.fileno(), their_progress],
                stdin=subprocess.DEVNULL,
            )
        self._heard_s = self._clock()
        log.info("model process %d %s", self._process.pid, "started again" if self._last_end else "started")
        if self._last_end:
            model = str(self._card.version_name)
            self._metrics.count("panopticon_model_restarts_total", model=model, reason=self._last_end)


def status_text(status: int | None) -> str:
    """Return the exit status of a child in words."""
    if status is None:
        return "not started"
    return f"signal {-status}" if status < 0 else f"exit code {status}"
