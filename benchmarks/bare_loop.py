"""A script without the rest of this project: read → decode → the same engine, on all cores."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines import open_engine
from panopticon.images.decoding import decode
from panopticon.interfaces import Engine

BATCHES_AHEAD = 3


class BareLoop:
    """A loop over photos that uses every core in the way that suits the engine."""

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        self._card = card
        self._cores = len(os.sched_getaffinity(0))
        self._shared = self._loaded(cache_dir)
        others = self._cores - 1 if self._shared.engine_per_thread else 0
        self._own = [self._shared, *(self._loaded(cache_dir) for _ in range(others))]

    def ways(self) -> dict[str, Callable[[Sequence[Path]], float]]:
        """Return the ways to use every core: name → a run over photos that returns its seconds."""
        if self._shared.engine_per_thread:
            return {"one engine a core": self._side_by_side}
        return {"decoding ahead of one engine": self._ahead}

    def _loaded(self, cache_dir: Path) -> Engine:
        engine = open_engine(self._card, cache_dir=cache_dir)
        engine.load()
        return engine

    def _pixels(self, photo: Path) -> NDArray[np.uint8]:
        encoded = photo.read_bytes()
        return decode(encoded, input=self._card.input, preprocessing=self._card.preprocessing).pixels

    def _ahead(self, photos: Sequence[Path]) -> float:
        begun_s = time.perf_counter()
        ahead: deque[Future[NDArray[np.uint8]]] = deque()
        left = iter(photos)
        with ThreadPoolExecutor(self._cores) as pool:
            ahead.extend(
                pool.submit(self._pixels, photo)
                for photo in islice(left, BATCHES_AHEAD * self._shared.best_batch)
            )
            while ahead:
                size = min(self._shared.best_batch, len(ahead))
                batch = [ahead.popleft().result() for _ in range(size)]
                ahead.extend(pool.submit(self._pixels, photo) for photo in islice(left, size))
                self._shared.run(np.stack(batch))
        return time.perf_counter() - begun_s

    def _side_by_side(self, photos: Sequence[Path]) -> float:
        begun_s = time.perf_counter()
        shares = [photos[core :: self._cores] for core in range(self._cores)]
        with ThreadPoolExecutor(self._cores) as pool:
            list(pool.map(self._serial, self._own, shares))
        return time.perf_counter() - begun_s

    def _serial(self, engine: Engine, photos: Sequence[Path]) -> None:
        for start in range(0, len(photos), engine.best_batch):
            batch = photos[start : start + engine.best_batch]
            engine.run(np.stack([self._pixels(photo) for photo in batch]))
