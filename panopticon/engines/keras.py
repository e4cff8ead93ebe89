"""The reference engine: the Keras model itself, on the backend that Keras is configured to use."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines.gpu_memory import limit_gpu_memory
from panopticon.models.building import build_model, require_keras


class KerasEngine:
    """An engine that calls `predict_on_batch`; `predict` in a loop is slower and leaks (keras#13118)."""

    name = "keras"
    best_batch = 8
    engine_per_thread = False

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:  # noqa: ARG002
        self._card = card
        self.model: Any = None
        """The keras.Model, once loaded."""
        self.libraries = "keras"

    def load(self) -> None:
        """Build the model. Raises: CardError or UsageError, as `build_model` does."""
        require_keras()
        import keras

        limit_gpu_memory(keras.backend.backend(), share_mb=self._card.needs.gpu_memory_mb)
        self.model = build_model(self._card)
        self.libraries = _libraries()

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model: (N, H, W, 3) RGB, 0 to 255 → (N, D)."""
        return np.asarray(self.model.predict_on_batch(batch), dtype=np.float32)


def _libraries() -> str:
    import keras

    backend = keras.backend.backend()
    return f"keras {keras.__version__}, {backend} {import_module(backend).__version__}"
