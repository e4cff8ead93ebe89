"""Engines for the tests of this folder. A pure red picture is the cue of those that fail."""

from __future__ import annotations

import logging
import os
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines.null import NullEngine

RED = (255, 0, 0)
BEST_BATCH = 4

log = logging.getLogger(__name__)


def _has_cue(batch: NDArray[np.uint8]) -> bool:
    return bool((batch == np.array(RED, dtype=np.uint8)).all(axis=(1, 2, 3)).any())


class GatheringEngine(NullEngine):
    """An engine that notes the colours of each batch in a line of the file `batches`, and may be held.

    It runs only while the file `hold` is not in the cache's folder.
    """

    best_batch = BEST_BATCH

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        super().__init__(card, cache_dir=cache_dir)
        self._folder = cache_dir

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        # The control picture is grey.
        if not (batch == 128).all():
            colours = [f"{r},{g},{b}" for r, g, b in batch[:, 0, 0].tolist()]
            with (self._folder / "batches").open("a") as batches:
                batches.write(" ".join(colours) + "\n")
            while (self._folder / "hold").exists():
                time.sleep(0.005)
        return super().run(batch)


class RaisingEngine(NullEngine):
    """An engine with a bug that shows on every picture, the control too."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise ZeroDivisionError(f"a bug that shows on {len(batch)} images")


class WarningEngine(NullEngine):
    """An engine that warns on the cue, by both ways that libraries know, and ends its process on blue."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        if _has_cue(batch):
            warnings.warn("the picture is odd", stacklevel=1)
            log.warning("the picture is odd indeed")
        if (batch == np.array((0, 0, 255), dtype=np.uint8)).all():
            os._exit(9)
        return super().run(batch)
