"""The thread of a model process ends, whatever it still holds and whoever still speaks to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from panopticon.errors import Unavailable
from panopticon.messages import Lane
from panopticon.scheduling.items import Answer, Hello, Item
from workers.serving.jobs import Job
from workers.serving.replica import Replica, Turn


class SlowlyEnding:
    """A runner that never answers, and takes its time to close."""

    hello: Hello | None = None
    down: Unavailable | None = None
    pid: int | None = None
    credit = 1
    best_batch = 1

    def __init__(self) -> None:
        self.closing = threading.Event()
        self.may_end = threading.Event()
        self._number = 0

    def fileno(self) -> int | None:
        return None

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None, trace: str = "") -> Item:
        self._number += 1
        return Item(id=self._number, lane=lane, uri=uri, encoded=encoded, trace=trace)

    def cancel(self, items: Sequence[Item]) -> None:
        """Drop nothing."""

    def reclaim(self) -> list[Item]:
        return []

    def release(self) -> list[Item]:
        return []

    def poll(self, *, wait_s: float) -> list[Answer]:
        return []

    def close(self) -> None:
        self.closing.set()
        assert self.may_end.wait(60)


def job() -> Job:
    return Job(client="ann", lane=Lane.LIVE, encoded=b"picture", deadline_s=0.0, finished=lambda _: None)


def test_what_it_is_given_while_it_ends_comes_back() -> None:
    runner, turns = SlowlyEnding(), list[Turn]()
    replica = Replica(runner, name="null@1/0", report=lambda _, turn: turns.append(turn))
    replica.start()
    replica.close()
    assert runner.closing.wait(60)
    late = job()
    replica.give(late)
    runner.may_end.set()
    assert replica.join(60)
    assert [back for turn in turns for back in turn.returned] == [late]


def test_after_its_end_nothing_is_written_to_its_descriptor_which_another_one_may_have() -> None:
    runner = SlowlyEnding()
    runner.may_end.set()
    replica = Replica(runner, name="null@1/0", report=lambda *_: None)
    before = set(os.listdir("/proc/self/fd"))
    replica.start()
    (freed,) = set(os.listdir("/proc/self/fd")) - before
    replica.close()
    assert replica.join(60)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    taken = os.dup2(writing, int(freed)) if int(freed) not in (reading, writing) else int(freed)
    try:
        replica.close()
        replica.cancel(job())
        assert not _readable(reading)
    finally:
        for each in {reading, writing, taken}:
            os.close(each)


def _readable(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 64)
    except BlockingIOError:
        return b""
