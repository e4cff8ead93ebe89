"""The parent side of a model process: starts it, feeds it, judges its deaths, starts it again."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.backoff import Backoff
from panopticon.scheduling.dispatch import Dispatcher, Item, ItemFailure, Phase
from panopticon.settings import PREFIX, Settings
from workers.model_process.frames import PROTOCOL, Frame, FrameError, FrameStream, PeerGone

CREDIT_BATCHES = 3
START_TIMEOUT_S = 180.0
SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
"""Room for the vectors of a whole credit, so that the model never waits for the store."""
SILENCE_TIMEOUT_S = 30.0
ENDING_S = 2.0
"""For a process that closed its socket to be gone, so that its own exit status is read and not our kill."""
GATHER_S = 0.01
"""Between two looks for answers, so that frames gather: each look costs a tenth of a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a model process says of itself once its self-test has passed."""

    digest: str
    engine: str
    libraries: str
    best_batch: int
    dim: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """An image the model has run on."""

    item: Item
    vector: NDArray[np.float32]
    """Shape (D,)."""
    engine: str
    libraries: str
    source_sha256: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """An image the model has not run on, and why."""

    item: Item
    error: Rejected | Transient | Unavailable


Answer = Ran | NotRun


class ModelClient:
    """One model process, kept alive. Used by one thread."""

    def __init__(
        self,
        card: ModelCard,
        settings: Settings,
        *,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._card = card
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._name = str(card.version_name)
        self._ids = itertools.count(1)
        self._dispatcher = Dispatcher(item_timeout_s=settings.item_timeout_s)
        # A model that is down starts seldom; a child that was merely killed starts at once.
        self._backoff = Backoff(first_s=1.0, max_s=settings.park_max_s, random=random.random)
        self._child: subprocess.Popen[bytes] | None = None
        self._stream: FrameStream | None = None
        self._hello: Hello | None = None
        self._best_batch = 0
        self._heard_s = 0.0
        self._cpu_s: dict[str, float] = {}
        self._start_not_before_s = 0.0
        self._down: Unavailable | None = None
        self._said_why = False
        self._last_end = ""

    @property
    def hello(self) -> Hello | None:
        """None until the process has passed its self-test, and again while it is being restarted."""
        return self._hello

    @property
    def down(self) -> Unavailable | None:
        """Why the model cannot run anything at present."""
        return self._down

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def credit(self) -> int:
        """How many items may be in hand; 0 before the first hello."""
        return self._best_batch * CREDIT_BATCHES

    @property
    def best_batch(self) -> int:
        return self._best_batch

    def __len__(self) -> int:
        return len(self._dispatcher)

    def add(self, uri: str, lane: Lane) -> Item:
        """Take one image in hand; its answer comes from `poll`."""
        item = Item(id=next(self._ids), lane=lane, uri=uri)
        self._dispatcher.add(item)
        return item

    def poll(self, *, wait_s: float) -> list[Answer]:
        """Feed the process and collect what it has answered, waiting at most `wait_s` for the first."""
        if self._stream is None:
            return self._start_again(wait_s)
        answers: list[Answer] = []
        try:
            self._feed()
            answers += self._next_answers(self._stream, wait_s)
            self._feed()
        except (PeerGone, FrameError) as error:
            return answers + self._died(str(error))
        return answers + self._kill_if_stuck()

    def give_up(self) -> list[Item]:
        """Let go of every item in hand, unanswered."""
        return self._dispatcher.give_up()

    def close(self) -> None:
        """End the process; closing its socket is the signal."""
        self._reap()

    def _start_again(self, wait_s: float) -> list[Answer]:
        pause_s = self._start_not_before_s - self._clock()
        if pause_s > 0:
            time.sleep(min(pause_s, wait_s))
            return []
        self._start()
        return []

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        with theirs:
            self._child = subprocess.Popen(
                self._command(theirs.fileno()),
                env=self._environ(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._stream = FrameStream(ours)
        self._cpu_s.clear()
        self._said_why = False
        self._heard_s = self._clock()
        if self._last_end:
            self._metrics.count("panopticon_model_restarts_total", model=self._name, reason=self._last_end)

    def _command(self, descriptor: int) -> list[str]:
        card = self._card.folder / "card.toml"
        return [sys.executable, "-m", "workers.model_process.main", f"--fd={descriptor}", f"--card={card}"]

    def _environ(self) -> dict[str, str]:
        """Ours, with the settings as they are in this process, wherever they came from."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        return {**kept, **self._settings.without_addresses().as_environ()}

    def _feed(self) -> None:
        if self._hello is None or self._stream is None:
            return
        items = self._dispatcher.next_items(self.credit)
        if items:
            self._stream.send({"type": "item", "id": i.id, "lane": i.lane.value, "uri": i.uri} for i in items)

    def _next_answers(self, stream: FrameStream, wait_s: float) -> list[Answer]:
        """Word of progress alone does not end the wait, nor wake this process for each image."""
        deadline_s = self._clock() + wait_s
        answers = self._answers(stream.receive(wait_s=wait_s))
        while not answers and (left_s := deadline_s - self._clock()) > 0 and self._down is None:
            time.sleep(min(left_s, GATHER_S))
            answers = self._answers(stream.receive(wait_s=max(left_s - GATHER_S, 0)))
        return answers

    def _answers(self, frames: list[Frame]) -> list[Answer]:
        if frames:
            self._heard_s = self._clock()
        return [answer for frame in frames for answer in self._handle(frame)]

    def _handle(self, frame: Frame) -> list[Answer]:
        match frame["type"]:
            case "output":
                return self._answered(frame, self._ran)
            case "rejected" | "transient" | "unavailable" if frame["id"]:
                return self._answered(frame, _not_run)
            case "started":
                self._dispatcher.started(frame["ids"], Phase(frame["phase"]), now_s=self._clock())
            case "ran":
                self._metrics.observe("panopticon_batch_images", frame["images"], model=self._name)
                self._metrics.observe("panopticon_run_seconds", frame["run_s"], model=self._name)
            case "alive":
                self._count_cpu(frame["cpu_s"])
            case "hello":
                self._greet(frame)
            case "unavailable":
                self._model_is_down(frame["reason"])
        return []

    def _count_cpu(self, cpu_s: dict[str, float]) -> None:
        """A process says what it has used since it began; what is counted goes on over several of them."""
        for step, used_s in cpu_s.items():
            new_s = used_s - self._cpu_s.get(step, 0.0)
            self._metrics.count("panopticon_model_cpu_seconds_total", new_s, model=self._name, step=step)
        self._cpu_s.update(cpu_s)

    def _answered(self, frame: Frame, answer: Callable[[Item, Frame], Answer]) -> list[Answer]:
        item = self._dispatcher.answered(frame["id"], ran=frame["type"] == "output")
        self._backoff.reset()
        return [] if item is None else [answer(item, frame)]

    def _ran(self, item: Item, frame: Frame) -> Ran:
        assert self._hello is not None
        self._metrics.observe("panopticon_fetch_decode_seconds", frame["prepare_s"], model=self._name)
        return Ran(
            item=item,
            vector=np.frombuffer(frame["vector"], dtype=np.float32),
            engine=self._hello.engine,
            libraries=self._hello.libraries,
            source_sha256=frame["source_sha256"],
            width_px=frame["width_px"],
            height_px=frame["height_px"],
        )

    def _greet(self, frame: Frame) -> None:
        if (frame["protocol"], frame["digest"]) != (PROTOCOL, self._card.digest):
            self._reap()
            self._last_end = "other digest"
            self._model_is_down(
                f"its process speaks protocol {frame['protocol']} with digest {frame['digest']}"
            )
            return
        names = ("digest", "engine", "libraries", "best_batch", "dim")
        self._hello = Hello(**{name: frame[name] for name in names})
        self._best_batch = self._hello.best_batch
        self._down = None

    def _model_is_down(self, reason: str) -> None:
        self._down = Unavailable("model", reason)
        self._said_why = True
        self._start_not_before_s = self._clock() + self._backoff.next_s()

    def _died(self, reason: str) -> list[Answer]:
        answers = self._last_words()
        greeted = self._hello is not None
        status = self._reap()
        self._last_end = "died"
        failures = self._dispatcher.died(killed=status == -signal.SIGKILL)
        if not greeted and not self._said_why:
            self._model_is_down(f"its process ended before its self-test ({_status_text(status)}; {reason})")
        elif self._dispatcher.model_is_failing:
            self._dispatcher.clear_images()
            self._model_is_down("three different images in a row killed its process")
        return answers + _not_run_because(failures)

    def _last_words(self) -> list[Answer]:
        """What it has said and nobody has read yet: which images it had begun, and which it finished."""
        answers: list[Answer] = []
        try:
            while self._stream is not None and (frames := self._stream.receive(wait_s=0)):
                answers += self._answers(frames)
        except (PeerGone, FrameError):
            pass
        return answers

    def _kill_if_stuck(self) -> list[Answer]:
        now_s = self._clock()
        if self._dispatcher.overdue(now_s=now_s):
            return self._kill_overdue(now_s)
        limit_s = SILENCE_TIMEOUT_S + self._settings.item_timeout_s if self._hello else START_TIMEOUT_S
        if now_s - self._heard_s > limit_s:
            return self._died(f"silent for {limit_s:g} s")
        return []

    def _kill_overdue(self, now_s: float) -> list[Answer]:
        """It may be this side that was slow: what has been said meanwhile is heard first."""
        answers = self._last_words()
        if not self._dispatcher.overdue(now_s=now_s):
            return answers
        self._reap(patience_s=0)
        self._last_end = "overdue"
        return answers + _not_run_because(self._dispatcher.killed_overdue(now_s=now_s))

    def _reap(self, *, patience_s: float = ENDING_S) -> int | None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._hello = None, None
        if self._child is None:
            return None
        status = _end(self._child, patience_s=patience_s)
        self._child = None
        return status


def _end(child: subprocess.Popen[bytes], *, patience_s: float) -> int:
    """Its socket is closed, on which a healthy child ends by itself; a stuck one is killed."""
    try:
        return child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _status_text(status: int | None) -> str:
    if status is None:
        return "not started"
    return f"signal {-status}" if status < 0 else f"exit code {status}"


def _not_run(item: Item, frame: Frame) -> NotRun:
    reason = frame["reason"]
    if frame["type"] == "rejected":
        return NotRun(item=item, error=Rejected(reason, frame["detail"]))
    if frame["type"] == "transient":
        return NotRun(item=item, error=Transient(reason, frame["detail"]))
    return NotRun(item=item, error=Unavailable(frame["part"], reason))


def _not_run_because(failures: list[ItemFailure]) -> list[Answer]:
    return [NotRun(item=failure.item, error=failure.error) for failure in failures]
