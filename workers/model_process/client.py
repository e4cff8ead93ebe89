"""The parent's side of a model process: the images it holds, their answers, and the deaths among them."""

from __future__ import annotations

import itertools
import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from panopticon.cards.cards import ModelCard
from panopticon.errors import Rejected, Transient, Unavailable, UsageError
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.models.golden_files import control_picture
from panopticon.scheduling.dispatch import Dispatcher
from panopticon.scheduling.items import Answer, Hello, Item, NotRun, Ran
from panopticon.settings import Settings
from workers.model_process.child_process import ENDING_S, ChildProcess, status_text
from workers.model_process.frames import (
    MAX_ENCODED_BYTES,
    PROTOCOL,
    AliveFrame,
    CancelFrame,
    DroppedFrame,
    Frame,
    FrameError,
    HelloFrame,
    OutputFrame,
    PeerGone,
    RanFrame,
    RejectedFrame,
    StartedFrame,
    TransientFrame,
    UnavailableFrame,
)

log = logging.getLogger(__name__)

CREDIT_BATCHES = 3
VALUE_BYTES = np.dtype(np.float32).itemsize
PROGRESS_ANSWERS = 64
"""Answers after which progress is read, so that its pipe never fills up: each image reports five times."""
START_TIMEOUT_S = 180.0
SILENCE_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.1
"""Pause between two looks for overdue items: each takes longer with the number of items."""
GATHER_S = 0.01
"""Pause between two looks for answers, so that frames gather: each look costs a tenth of a millisecond."""


class ModelClient:
    """A ModelRunner whose model runs in a child process, which is kept alive. Used by one thread."""

    def __init__(
        self,
        card: ModelCard,
        settings: Settings,
        *,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        convicted: Callable[[NotRun], object] = lambda _: None,
    ) -> None:
        """`convicted` is called with each image that was found to be at fault, also if it was cancelled."""
        self._card = card
        self._report_convicted = convicted
        self._item_timeout_s = settings.item_timeout_s
        self._metrics = metrics
        self._clock = clock
        self._name = str(card.version_name)
        self._ids = itertools.count(1)
        self._dispatcher = Dispatcher(
            item_timeout_s=settings.item_timeout_s, control=partial(control_picture, card)
        )
        self._child = ChildProcess(card, settings, metrics=metrics, clock=clock)
        self._child_reported_down = False
        self._cpu_s: dict[str, float] = {}
        self._progress_due = False
        self._answers_since_progress = 0
        self._looked_s = -math.inf
        self.hello: Hello | None = None
        """None until the process has passed its self-test, and again while it is being restarted."""
        self.down: Unavailable | None = None
        """The reason why the model cannot run anything at present; None while it can."""
        self.best_batch = 0
        """Images that the model runs best at once; 0 before the first hello."""

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def credit(self) -> int:
        """The number of items that it may hold; 0 before the first hello."""
        return self.best_batch * CREDIT_BATCHES

    def __len__(self) -> int:
        """Return the number of items it holds; a cancelled one counts until it is over."""
        return len(self._dispatcher)

    def fileno(self) -> int | None:
        """Return the descriptor of the socket to the process; None while no process runs.

        It is readable when a frame has arrived or the process has died; then `poll` has work. Each process
        has another socket, so it must be asked for again after each `poll`.
        """
        return self._child.fileno()

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None, trace: str = "") -> Item:
        """Accept one image to run: `encoded`, or the original at `uri`. Its answer comes from `poll`.

        `trace`: a text by which the caller's log knows the image; it goes into warnings about the image.

        Raises: Rejected (too_many_bytes) if `encoded` does not fit into one frame.
        """
        if encoded is not None and len(encoded) > MAX_ENCODED_BYTES:
            raise Rejected("too_many_bytes", f"{len(encoded)} bytes; at most {MAX_ENCODED_BYTES}")
        item = Item(id=next(self._ids), lane=lane, uri=uri, encoded=encoded, trace=trace)
        self._dispatcher.add(item)
        return item

    def poll(self, *, wait_s: float) -> list[Answer]:
        """Send what there is credit for, and return new answers, waiting up to `wait_s` for the first."""
        answers = [*self._poll(wait_s=wait_s), *self._dispatcher.take_failed()]
        for convicted in self._dispatcher.take_convicted():
            log.warning("%s: an image is at fault: %s%s", self._name, convicted.error, _named(convicted.item))
            self._report_convicted(convicted)
        return answers

    def _poll(self, *, wait_s: float) -> list[Answer]:
        if not self._child.running:
            self._start(wait_s=wait_s)
            return []
        answers: list[Answer] = []
        try:
            self._send_items()
            self._receive_answers(answers, wait_s=wait_s)
            self._send_items()
            if self._progress_due or self._answers_since_progress >= PROGRESS_ANSWERS:
                self._read_progress()
        except (PeerGone, FrameError) as error:
            return answers + self._died(str(error))
        return answers + self._end_if_stuck()

    def _start(self, *, wait_s: float) -> None:
        try:
            started = self._child.start_when_due(wait_s=wait_s)
        except UsageError as error:
            self._model_is_down(str(error))
            return
        if started:
            self._cpu_s.clear()
            self._child_reported_down = False

    def cancel(self, items: Sequence[Item]) -> None:
        """Drop these items, whose answers nobody wants any more: `poll` will not answer them.

        What waits is gone at once. What the process holds and has not begun to run is dropped there; until
        the process says so, it takes credit and counts in `len`. What runs goes on to its end, as does an
        item that is suspected of having killed the process: its evidence stays, and no innocent item is
        suspected in its place. Items that are answered already change nothing.
        """
        ids = self._dispatcher.cancel([item.id for item in items])
        if not ids:
            return
        try:
            self._child.send([CancelFrame(ids=tuple(ids))])
        except PeerGone:
            # The next poll finds the death, after which no cancelled item is sent again unless suspected.
            return

    def reclaim(self) -> list[Item]:
        """While no model is ready, remove the items that may run elsewhere, and return them.

        Suspects stay: they may have killed the process, and only this client knows the evidence. While the
        model is ready, nothing is returned.
        """
        return self._dispatcher.reclaim() if self.hello is None else []

    def release(self) -> list[Item]:
        """Drop every item that has no answer yet, and return those that were not cancelled."""
        return self._dispatcher.release()

    def close(self) -> None:
        """End the process."""
        self._end_child("closed")

    def _send_items(self) -> None:
        if self.hello is None:
            return
        items = self._dispatcher.next_items(self.credit)
        if items:
            self._child.send(items)

    def _receive_answers(self, answers: list[Answer], *, wait_s: float) -> None:
        """Append new answers. Other frames do not end the wait.

        Raises: PeerGone, FrameError; answers that came before the fault are in the list by then.
        """
        deadline_s = self._clock() + wait_s
        self._handle_all(self._child.receive(wait_s=wait_s), answers)
        while not answers and (left_s := deadline_s - self._clock()) > 0 and self.down is None:
            time.sleep(min(left_s, GATHER_S))
            self._handle_all(self._child.receive(wait_s=max(left_s - GATHER_S, 0)), answers)

    def _handle_all(self, frames: Sequence[Frame], answers: list[Answer]) -> None:
        for frame in frames:
            answer = self._handle(frame)
            if answer is not None:
                answers.append(answer)
                self._answers_since_progress += 1

    def _read_progress(self) -> None:
        """Learn which step each item has reached. Raises: FrameError."""
        self._progress_due = False
        self._answers_since_progress = 0
        for frame in self._child.progress():
            self._started(frame)

    def _started(self, frame: StartedFrame) -> None:
        self._dispatcher.started(frame.ids, frame.phase, now_s=self._clock())

    def _handle(self, frame: Frame) -> Answer | None:
        match frame:
            case OutputFrame():
                return self._ran(frame)
            case RejectedFrame():
                return self._not_run(frame.id, Rejected(frame.reason, frame.detail))
            case TransientFrame():
                return self._not_run(frame.id, Transient(frame.reason, frame.detail))
            case UnavailableFrame(id=0):
                self._model_is_down(frame.reason)
            case UnavailableFrame():
                return self._not_run(frame.id, Unavailable(frame.component, frame.reason))
            case RanFrame():
                self._metrics.observe("panopticon_batch_images", frame.images, model=self._name)
                self._metrics.observe("panopticon_run_seconds", frame.run_s, model=self._name)
            case AliveFrame():
                self._count_cpu(frame)
                self._progress_due = True
            case HelloFrame():
                self._greet(frame)
            case DroppedFrame():
                self._dispatcher.dropped(frame.ids)
            case Item() | CancelFrame() | StartedFrame():
                raise FrameError(f"a child sends no {frame.type} over its socket")
        return None

    def _ran(self, frame: OutputFrame) -> Ran | None:
        if len(frame.vector) % VALUE_BYTES:
            raise FrameError(f"a vector of {len(frame.vector)} bytes")
        self._child.reset_delay()
        item = self._dispatcher.answered(frame.id)
        if item is None:
            return None
        assert self.hello is not None, "an item is sent only to a child that has greeted"
        self._metrics.observe("panopticon_fetch_decode_seconds", frame.prepare_s, model=self._name)
        return Ran(
            item=item,
            vector=np.frombuffer(frame.vector, dtype=np.float32),
            engine=self.hello.engine,
            libraries=self.hello.libraries,
            source_sha256=frame.source_sha256,
            width_px=frame.width_px,
            height_px=frame.height_px,
        )

    def _not_run(self, id_: int, error: Rejected | Transient | Unavailable) -> NotRun | None:
        self._child.reset_delay()
        item = self._dispatcher.answered(id_)
        return None if item is None else NotRun(item=item, error=error)

    def _count_cpu(self, frame: AliveFrame) -> None:
        """A child reports what it has used since it began; the counter goes on over several children."""
        for step, used_s in frame.cpu_s.items():
            # A counter never goes down, whatever a child reports.
            new_s = max(used_s - self._cpu_s.get(step, 0.0), 0.0)
            self._metrics.count("panopticon_model_cpu_seconds_total", new_s, model=self._name, step=step)
        self._cpu_s.update(frame.cpu_s)

    def _greet(self, frame: HelloFrame) -> None:
        if (frame.protocol, frame.digest) != (PROTOCOL, self._card.digest):
            self._end_child("other digest")
            self._model_is_down(f"its process speaks protocol {frame.protocol} with digest {frame.digest}")
            return
        if frame.best_batch < 1:
            self._end_child("no batch")
            self._model_is_down(f"its engine reports a best batch of {frame.best_batch} images")
            return
        self.hello = Hello(
            digest=frame.digest,
            engine=frame.engine,
            libraries=frame.libraries,
            best_batch=frame.best_batch,
            dim=frame.dim,
        )
        self.best_batch = frame.best_batch
        self.down = None

    def _model_is_down(self, reason: str) -> None:
        """A model that is down is started ever less often; a child that was merely killed, at once."""
        self.down = Unavailable("model", reason)
        self._child_reported_down = True
        self._child.delay_next_start()

    def _died(self, reason: str) -> list[Answer]:
        answers = self._last_answers()
        greeted = self.hello is not None
        status = self._end_child("died")
        self._dispatcher.died(killed=status == -signal.SIGKILL)
        if not greeted and not self._child_reported_down:
            self._model_is_down(f"its process ended before its self-test ({status_text(status)}; {reason})")
        self._notice_failing_model(status_text(status))
        return answers

    def _notice_failing_model(self, end: str) -> None:
        if self._dispatcher.model_is_failing:
            self._dispatcher.clear_images()
            self._model_is_down(f"its process ended on a picture that is known to be good ({end})")

    def _last_answers(self) -> list[Answer]:
        """Read what has been sent and not been read: the images begun, and those finished."""
        answers: list[Answer] = []
        with suppress(PeerGone, FrameError):
            while frames := self._child.receive(wait_s=0):
                self._handle_all(frames, answers)
        with suppress(FrameError):
            self._read_progress()
        return answers

    def _end_if_stuck(self) -> list[Answer]:
        now_s = self._clock()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return []
        self._looked_s = now_s
        if self._dispatcher.overdue(now_s=now_s):
            return self._end_overdue(now_s)
        limit_s = SILENCE_TIMEOUT_S + self._item_timeout_s if self.hello else START_TIMEOUT_S
        if self._child.silent_s > limit_s:
            return self._died(f"silent for {limit_s:g} s")
        return []

    def _end_overdue(self, now_s: float) -> list[Answer]:
        # This side may have been the slow one: answers sent meanwhile count first.
        answers = self._last_answers()
        if not self._dispatcher.overdue(now_s=now_s):
            return answers
        self._end_child("overdue", patience_s=0)
        answers += self._dispatcher.killed_overdue(now_s=now_s)
        self._notice_failing_model(f"it took more than {self._item_timeout_s:g} s")
        return answers

    def _end_child(self, reason: str, *, patience_s: float = ENDING_S) -> int | None:
        self.hello = None
        return self._child.end(reason, patience_s=patience_s)


def _named(item: Item) -> str:
    return f" (trace {item.trace})" if item.trace else ""
