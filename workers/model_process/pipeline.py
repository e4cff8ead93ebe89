"""The images inside a model process: received, prepared, run. Live images go first in both waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panopticon.messages import Lane
from panopticon.scheduling.batching import LaneBuffer
from panopticon.scheduling.items import Item


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One decoded image that waits for the model."""

    id: int
    pixels: NDArray[np.uint8]
    prepare_s: float
    source_sha256: str
    width_px: int
    height_px: int


class Pipeline:
    """Two waits, shared by the threads of a model process: for a thread that prepares, then for the model."""

    def __init__(self) -> None:
        lock = threading.Lock()
        self._more_received = threading.Condition(lock)
        self._more_prepared = threading.Condition(lock)
        self._received: LaneBuffer[Item] = LaneBuffer()
        self._prepared: LaneBuffer[Prepared] = LaneBuffer()

    def receive(self, items: Sequence[Item]) -> None:
        with self._more_received:
            for item in items:
                self._received.add(item, item.lane)
            self._more_received.notify(len(items))

    def next_received(self) -> Item:
        """Wait for an item and return it."""
        with self._more_received:
            while not self._received:
                self._more_received.wait()
            return self._received.take(1)[0]

    def prepared(self, image: Prepared, lane: Lane) -> None:
        with self._more_prepared:
            self._prepared.add(image, lane)
            self._more_prepared.notify()

    def next_batch(self, max_images: int) -> list[Prepared]:
        """Return what has gathered, at once; wait only while there is nothing."""
        with self._more_prepared:
            while not self._prepared:
                self._more_prepared.wait()
            return self._prepared.take(max_images)
