"""The memory, descriptors and threads of a service's front process, seen from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.workers.serving.running import RunningService, wait_until

EVERY_S = 0.005


@dataclass(slots=True, kw_only=True)
class Memory:
    """The memory of a process in a block."""

    before_bytes: int
    peak_bytes: int

    @property
    def growth_bytes(self) -> int:
        return self.peak_bytes - self.before_bytes


def front_process(service: RunningService) -> psutil.Process:
    """Return the process that answers HTTP: the parent of the model processes."""
    parent = psutil.Process(service.model_processes()[-1]).parent()
    assert parent is not None
    return parent


def wait_until_nothing_is_left(front: psutil.Process, before: tuple[int, int]) -> None:
    """Wait until a process has no more descriptors and threads than `before`, by `open_in`."""

    def nothing_is_left() -> bool:
        return all(now <= then for now, then in zip(open_in(front), before, strict=True))

    wait_until(nothing_is_left, f"no more than {before} descriptors and threads are left")


def open_in(process: psutil.Process) -> tuple[int, int]:
    """Return the numbers of descriptors and threads of a process."""
    return process.num_fds(), process.num_threads()


@contextmanager
def memory_of(process: psutil.Process) -> Iterator[Memory]:
    """Sample the resident memory of a process during the block."""
    before_bytes = process.memory_info().rss
    memory = Memory(before_bytes=before_bytes, peak_bytes=before_bytes)
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(EVERY_S):
            memory.peak_bytes = max(memory.peak_bytes, process.memory_info().rss)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()
        memory.peak_bytes = max(memory.peak_bytes, process.memory_info().rss)
