"""One model process of a served model, driven by a thread of its own for the event loop."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from panopticon.errors import Rejected, Unavailable
from panopticon.interfaces import ModelRunner
from panopticon.messages import Lane
from panopticon.scheduling.items import Answer, Hello, Item, NotRun
from workers.serving.jobs import Job

TICK_S = 0.1
"""Longest pause between two looks at the model process, which notice that an image is overdue."""


class ProcessRunner(ModelRunner, Protocol):
    """A ModelRunner that a thread can wait for together with other things."""

    @property
    def pid(self) -> int | None:
        """Return the ID of the process; None while none runs."""

    def fileno(self) -> int | None:
        """Return the descriptor that is readable once there may be answers; None while there is none."""

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None, trace: str = "") -> Item: ...

    def cancel(self, items: Sequence[Item]) -> None:
        """Drop these items, whose answers nobody wants any more: `poll` will not answer them."""

    def reclaim(self) -> list[Item]:
        """Drop the items that another process can run while this one is down, and return them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """The state of a model process, as its thread has last seen it."""

    hello: Hello | None = None
    down: Unavailable | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The events of one turn of a replica's thread."""

    state: ReplicaState
    answered: Sequence[tuple[Job, Answer]] = ()
    returned: Sequence[Job] = field(default=())
    """Jobs that have no answer and that the replica no longer holds."""


class Replica:
    """A model process and its thread. All methods are for the event loop, and none of them blocks."""

    def __init__(self, runner: ProcessRunner, *, name: str, report: Callable[[Replica, Turn], None]) -> None:
        """`report` is called by the thread after each turn in which something happened; it must not block."""
        self._runner = runner
        self._name = name
        self._report = report
        self._inbox: deque[Callable[[], None]] = deque()
        self._jobs: dict[int, Job] = {}
        self._items: dict[Job, Item] = {}
        self._returned: list[Job] = []
        self._refused: list[tuple[Job, Answer]] = []
        self._closing = False
        self._wake_fd = -1
        self._wake_lock = threading.Lock()
        """Held while the descriptor is written or closed: once closed, it may be that of a client."""
        self._is_woken = False
        self._thread: threading.Thread | None = None
        self.in_flight = 0
        """Jobs that it was given and that it has not reported back; counted by the event loop."""
        self.state = ReplicaState()
        """The state as the event loop knows it."""

    def start(self) -> None:
        """Start the thread, which starts the model process and keeps it alive."""
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def give(self, job: Job) -> None:
        """Give it a job, which it answers or returns."""
        self.in_flight += 1
        self._do(lambda: self._add(job))

    def cancel(self, job: Job) -> None:
        """Let it return a job without an answer, unless the model has begun to run it."""
        self._do(lambda: self._cancel(job))

    def close(self) -> None:
        """Let the thread end the model process, return its jobs and end itself."""
        self._closing = True
        self._wake()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread, and return whether it came in time. It may block."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _do(self, action: Callable[[], None]) -> None:
        self._inbox.append(action)
        self._wake()

    def _wake(self) -> None:
        # A wake that the thread has not noticed yet serves for this one too: each costs a system call.
        if not self._is_woken:
            with self._wake_lock:
                if self._wake_fd >= 0:
                    self._is_woken = True
                    os.eventfd_write(self._wake_fd, 1)

    # What follows runs in the thread.

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._wake_fd, select.POLLIN)
        watched: int | None = None
        last = ReplicaState()
        while not self._closing:
            fd = self._runner.fileno()
            if fd != watched:
                if watched is not None:
                    poller.unregister(watched)
                if fd is not None:
                    poller.register(fd, select.POLLIN)
                watched = fd
            for ready, _ in poller.poll(TICK_S * 1000):
                if ready == self._wake_fd:
                    os.eventfd_read(self._wake_fd)
                    # Before the inbox is emptied, so that what comes from now on wakes it again.
                    self._is_woken = False
            last = self._turn(last)
        self._runner.close()
        # What came after the last turn is returned too.
        while self._inbox:
            self._inbox.popleft()()
        self._returned += self._jobs.values()
        self._jobs.clear()
        self._items.clear()
        self._report_turn([], ReplicaState(down=Unavailable("model", "its process was ended")))
        with self._wake_lock:
            os.close(self._wake_fd)
            self._wake_fd = -1

    def _turn(self, last: ReplicaState) -> ReplicaState:
        while self._inbox:
            self._inbox.popleft()()
        answers = self._runner.poll(wait_s=0)
        if self._runner.hello is None and self._jobs:
            self._returned += [self._forget(item) for item in self._runner.reclaim()]
        # Jobs that came while it polled are sent by the next turn, for which they have woken it.
        state = ReplicaState(hello=self._runner.hello, down=self._runner.down, pid=self._runner.pid)
        if answers or self._returned or self._refused or state != last:
            answered = [(self._forget(answer.item), answer) for answer in answers]
            self._report_turn(answered, state)
        return state

    def _report_turn(self, answered: list[tuple[Job, Answer]], state: ReplicaState) -> None:
        answered += self._refused
        returned, self._returned, self._refused = self._returned, [], []
        self._report(self, Turn(state=state, answered=answered, returned=returned))

    def _add(self, job: Job) -> None:
        try:
            item = self._runner.add(job.lane, uri=job.uri, encoded=job.encoded, trace=job.trace)
        except Rejected as error:
            self._refused.append((job, NotRun(item=Item(id=0, lane=job.lane), error=error)))
            return
        self._jobs[item.id] = job
        self._items[job] = item

    def _cancel(self, job: Job) -> None:
        item = self._items.get(job)
        if item is not None:
            self._runner.cancel([item])
            self._returned.append(self._forget(item))

    def _forget(self, item: Item) -> Job:
        job = self._jobs.pop(item.id)
        del self._items[job]
        return job
