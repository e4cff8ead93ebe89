"""An engine without a model, for load tests and fault tests of everything around a model."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, ModelCard

ELEMENTS = 3


class NullEngine:
    """An engine that returns the mean red, green and blue of each image, in [0, 1]; D = 3."""

    name = "null"
    best_batch = 32
    engine_per_thread = False

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:  # noqa: ARG002
        self._card = card
        self.libraries = f"numpy {version('numpy')}"

    def load(self) -> None:
        """Check the card. Raises: CardError unless it has three elements."""
        if len(self._card.labels) != ELEMENTS:
            raise CardError(f"{self._card.version_name}: the null engine returns {ELEMENTS} elements")

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the means over the pixels: (N, H, W, 3) RGB, 0 to 255 → (N, 3), 0 to 1."""
        means: NDArray[np.float64] = batch.mean(axis=(1, 2), dtype=np.float64)
        return (means / 255).astype(np.float32)
