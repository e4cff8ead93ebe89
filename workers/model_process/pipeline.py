"""The images inside a model process: fetched, decoded, run. Live images go first in each wait."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panopticon.interfaces import Engine
from panopticon.scheduling.batching import LaneBuffer
from panopticon.scheduling.items import Item


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decode:
    """One image to decode."""

    item: Item
    encoded: bytes
    fetch_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """One decoded image that waits for the model."""

    item: Item
    pixels: NDArray[np.uint8]
    prepare_s: float
    source_sha256: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A batch to run, and the engine that is taken for it."""

    engine: Engine
    images: Sequence[Decoded]


class Pipeline:
    """Three waits, shared by the threads of a model process: for a fetch, for a decode, and for an engine.

    The threads that compute do what is due: if an engine is free they run what is decoded, else they decode.
    So where each of them has an engine, an image is decoded and run by one thread without another wait, and
    no more threads are at work than cores. Fetching has threads of its own: a source that hangs delays no
    image that is here.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        lock = threading.Lock()
        self._more_to_fetch = threading.Condition(lock)
        self._more_to_compute = threading.Condition(lock)
        self._idle_engines = [*engines]
        self._to_fetch: LaneBuffer[Item] = LaneBuffer()
        self._to_decode: LaneBuffer[Decode] = LaneBuffer()
        self._to_run: LaneBuffer[Decoded] = LaneBuffer()
        self._in_work: set[int] = set()
        """The items that are being fetched or decoded."""
        self._cancelled: set[int] = set()
        """Those among them that nobody wants any more."""

    def receive(self, items: Sequence[Item]) -> None:
        with self._more_to_fetch:
            by_uri = 0
            for item in items:
                if item.encoded is None:
                    by_uri += 1
                    self._to_fetch.add(item, item.lane)
                else:
                    self._to_decode.add(Decode(item=item, encoded=item.encoded), item.lane)
            self._more_to_fetch.notify(by_uri)
            self._more_to_compute.notify(len(items) - by_uri)

    def next_to_fetch(self) -> Item:
        """Wait for an item and return it; `fetched` or `failed` must follow."""
        with self._more_to_fetch:
            while not self._to_fetch:
                self._more_to_fetch.wait()
            item = self._to_fetch.take(1)[0]
            self._in_work.add(item.id)
            return item

    def fetched(self, item: Item, encoded: bytes, *, fetch_s: float) -> bool:
        """Let an image wait for its decode; return False, and forget it, if it was cancelled meanwhile."""
        with self._more_to_compute:
            if self._leave(item.id):
                return False
            self._to_decode.add(Decode(item=item, encoded=encoded, fetch_s=fetch_s), item.lane)
            self._more_to_compute.notify()
            return True

    def next_to_compute(self) -> Decode | Run:
        """Wait for work and return it.

        `decoded` or `failed` must follow a decode, `ran` a run.
        """
        with self._more_to_compute:
            while (work := self._take_work()) is None:
                self._more_to_compute.wait()
            if self._to_run and self._idle_engines:
                # Another thread may wait, though there is an engine for it.
                self._more_to_compute.notify()
            return work

    def _take_work(self) -> Decode | Run | None:
        # What has gathered runs at once, so that a batch waits for nothing but an engine.
        if self._to_run and self._idle_engines:
            engine = self._idle_engines.pop()
            return Run(engine=engine, images=self._to_run.take(engine.best_batch))
        if self._to_decode:
            decode = self._to_decode.take(1)[0]
            self._in_work.add(decode.item.id)
            return decode
        return None

    def decoded(self, image: Decoded) -> bool:
        """Let an image wait for the model; return False, and forget it, if it was cancelled meanwhile.

        It wakes no other thread, since the caller's next work is to run it, if an engine is free.
        """
        with self._more_to_compute:
            if self._leave(image.item.id):
                return False
            self._to_run.add(image, image.item.lane)
            return True

    def failed(self, item: Item) -> None:
        """Forget an item that was being fetched or decoded and will not run."""
        with self._more_to_compute:
            self._leave(item.id)

    def ran(self, run: Run) -> None:
        """Free the engine of a run. It wakes no other thread: the caller takes what waits for it."""
        with self._more_to_compute:
            self._idle_engines.append(run.engine)

    def cancel(self, ids: Collection[int]) -> list[int]:
        """Drop these items where they wait, and return the ids of those that were dropped.

        One that is being fetched or decoded is dropped at the end of that step. One that runs goes on.
        """
        unwanted = set(ids)
        with self._more_to_compute:
            to_fetch = self._to_fetch.remove(lambda item: item.id in unwanted)
            to_decode = self._to_decode.remove(lambda decode: decode.item.id in unwanted)
            to_run = self._to_run.remove(lambda image: image.item.id in unwanted)
            self._cancelled |= self._in_work & unwanted
        waiting = [*to_fetch, *(decode.item for decode in to_decode), *(image.item for image in to_run)]
        return [item.id for item in waiting]

    def _leave(self, id_: int) -> bool:
        """Return whether an item that is no longer in work was cancelled. Needs the lock."""
        was_cancelled = id_ in self._cancelled
        self._in_work.discard(id_)
        self._cancelled.discard(id_)
        return was_cancelled
