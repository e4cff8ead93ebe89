"""Engines that misbehave on purpose. For some of them a pure red picture is the cue."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines.null import NullEngine

RED = (255, 0, 0)
MISLEADING = "photos.example"


def _has_cue(batch: NDArray[np.uint8]) -> bool:
    return bool((batch == np.array(RED, dtype=np.uint8)).all(axis=(1, 2, 3)).any())


class ExitingEngine(NullEngine):
    """An engine that ends its whole process on the cue."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        if _has_cue(batch):
            os._exit(9)
        return super().run(batch)


class HangingEngine(NullEngine):
    """An engine that hangs on the cue."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        if _has_cue(batch):
            time.sleep(3600)
        return super().run(batch)


class DyingEngine(NullEngine):
    """An engine that ends its process on every picture."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        os._exit(9)


class CountingEngine(NullEngine):
    """An engine that appends one byte for each image to the file `runs` in the cache's folder."""

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        super().__init__(card, cache_dir=cache_dir)
        self._runs = cache_dir / "runs"

    def load(self) -> None:
        super().load()
        self._runs.parent.mkdir(parents=True, exist_ok=True)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._runs.open("ab") as runs:
            runs.write(b"." * len(batch))
        return super().run(batch)


class SlowEngine(NullEngine):
    """An engine that is slow, so that a kill interrupts a run."""

    best_batch = 8

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.01 * len(batch))
        return super().run(batch)


class HeldEngine(NullEngine):
    """An engine that runs one picture at a time, and only while the file `hold` is not in the cache's folder.

    It appends one byte to the file `begun` before each run.
    """

    best_batch = 1

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        super().__init__(card, cache_dir=cache_dir)
        self._folder = cache_dir

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        # The golden image of the self-test, and the control picture, are grey.
        if not (batch == 128).all():
            with (self._folder / "begun").open("ab") as begun:
                begun.write(b"." * len(batch))
            while (self._folder / "hold").exists():
                time.sleep(0.005)
        return super().run(batch)


class NotingEngine(NullEngine):
    """A slow engine that records which worker runs which colour, before the run."""

    best_batch = 8

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        super().__init__(card, cache_dir=cache_dir)
        self._notes = notes_in(cache_dir)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._notes.open("a") as notes:
            notes.writelines(f"{os.getppid()} {r} {g} {b}\n" for r, g, b in batch[:, 0, 0].tolist())
        time.sleep(0.1 * len(batch))
        return super().run(batch)


class MisledEngine(NullEngine):
    """An engine in whose process MISLEADING resolves to the address of a cloud's secret metadata."""

    def load(self) -> None:
        super().load()
        really = socket.getaddrinfo

        def misled(host: Any, *rest: Any, **options: Any) -> Any:
            return really("169.254.169.254" if host == MISLEADING else host, *rest, **options)

        socket.getaddrinfo = misled


def notes_in(cache_dir: Path) -> Path:
    """Return the file that has a line for every image: the worker's process ID, red, green and blue."""
    return cache_dir.with_name("runs")
