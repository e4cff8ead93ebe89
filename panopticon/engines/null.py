"""No model at all: the mean colour, so that everything around a model can be loaded and broken cheaply."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, ModelCard

ELEMENTS = 3


class NullEngine:
    """Mean red, green and blue of each image, in [0, 1]; D = 3."""

    name = "null"
    best_batch = 32
    engine_per_thread = False

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:  # noqa: ARG002
        self._card = card
        self.libraries = f"numpy {version('numpy')}"

    def load(self) -> None:
        """Raises: CardError unless the card has three elements."""
        if len(self._card.labels) != ELEMENTS:
            raise CardError(f"{self._card.version_name}: the null engine gives {ELEMENTS} elements")

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB, 0 to 255 → (N, 3) means over the pixels, 0 to 1."""
        means: NDArray[np.float64] = batch.mean(axis=(1, 2), dtype=np.float64)
        return (means / 255).astype(np.float32)
