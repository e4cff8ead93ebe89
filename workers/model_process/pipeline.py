"""The images inside a model process: received, prepared, run. Live images go first in both waits."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
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
    trace: str = ""


class Pipeline:
    """Two waits, shared by the threads of a model process: for a thread that prepares, then for the model.

    For each thread that prepares an original from a URI, a reserve thread may prepare an image that came as
    bytes. So a source that hangs delays no such image, and without URIs the reserve has nothing to do.
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        self._more_received = threading.Condition(lock)
        self._more_for_reserve = threading.Condition(lock)
        self._more_prepared = threading.Condition(lock)
        self._received: LaneBuffer[Item] = LaneBuffer()
        self._prepared: LaneBuffer[Prepared] = LaneBuffer()
        self._preparing: set[int] = set()
        self._from_uri: set[int] = set()
        self._by_reserve: set[int] = set()
        self._cancelled: set[int] = set()
        """Subsets of those that are being prepared, like the two before."""

    def receive(self, items: Sequence[Item]) -> None:
        with self._more_received:
            for item in items:
                self._received.add(item, item.lane)
            self._more_received.notify(len(items))
            if self._from_uri:
                self._more_for_reserve.notify(len(items))

    def next_received(self) -> Item:
        """Wait for an item and return it; `prepared` or `left` must follow."""
        with self._more_received:
            while not self._received:
                self._more_received.wait()
            item = self._received.take(1)[0]
            self._preparing.add(item.id)
            if item.encoded is None:
                self._from_uri.add(item.id)
                self._more_for_reserve.notify()
            return item

    def next_for_reserve(self) -> Item:
        """Do the same for a reserve thread, as far as it is needed."""
        with self._more_for_reserve:
            while (item := self._take_for_reserve()) is None:
                self._more_for_reserve.wait()
            self._preparing.add(item.id)
            self._by_reserve.add(item.id)
            return item

    def _take_for_reserve(self) -> Item | None:
        if len(self._by_reserve) >= len(self._from_uri):
            return None
        return self._received.take_first(lambda item: item.encoded is not None)

    def prepared(self, image: Prepared, lane: Lane) -> bool:
        """Let an image wait for the model; return False, and forget it, if it was cancelled meanwhile."""
        with self._more_prepared:
            if self._leave(image.id):
                return False
            self._prepared.add(image, lane)
            self._more_prepared.notify()
            return True

    def left(self, id_: int) -> None:
        """Forget an item that was being prepared and will not run."""
        with self._more_prepared:
            self._leave(id_)

    def is_cancelled(self, id_: int) -> bool:
        """Return whether an item was cancelled while it was being prepared."""
        with self._more_prepared:
            return id_ in self._cancelled

    def cancel(self, ids: Collection[int]) -> list[int]:
        """Drop these items where they wait, and return the ids of those that were dropped.

        One that is being prepared is dropped at the end of its step. One that runs goes on.
        """
        unwanted = set(ids)
        with self._more_received:
            received = self._received.remove(lambda item: item.id in unwanted)
            prepared = self._prepared.remove(lambda image: image.id in unwanted)
            self._cancelled |= self._preparing & unwanted
        return [*(item.id for item in received), *(image.id for image in prepared)]

    def _leave(self, id_: int) -> bool:
        """Return whether an item that is no longer being prepared was cancelled. Needs the lock."""
        was_cancelled = id_ in self._cancelled
        self._preparing.discard(id_)
        self._from_uri.discard(id_)
        self._by_reserve.discard(id_)
        self._cancelled.discard(id_)
        return was_cancelled

    def next_batch(self, max_images: int) -> list[Prepared]:
        """Return what has gathered, at once; wait only while there is nothing."""
        with self._more_prepared:
            while not self._prepared:
                self._more_prepared.wait()
            return self._prepared.take(max_images)
