"""The CPU time of a model process, by step."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Usage:
    """CPU seconds of fetch, decode and run, so that what the process spends on anything else can be seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cpu_s = {"fetch": 0.0, "decode": 0.0, "run": 0.0}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the CPU time that this thread spends in the block, also if it raises."""
        begun_s = time.thread_time()
        try:
            yield
        finally:
            spent_s = time.thread_time() - begun_s
            with self._lock:
                self._cpu_s[name] += spent_s

    def read(self) -> dict[str, float]:
        """Return CPU seconds so far by step, and those of the whole process as `process`."""
        with self._lock:
            return {**self._cpu_s, "process": time.process_time()}
