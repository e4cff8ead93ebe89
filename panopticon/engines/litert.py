"""The default engine on a CPU: LiteRT runs the file exported from the Keras model, without TensorFlow."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines.litert_file import LiteRTFile, find_export
from panopticon.engines.prepare import prepare
from panopticon.models.weights import refuse_altered_weights


class LiteRTEngine:
    """An engine with one interpreter of one thread, fixed at one image per run.

    Measured on two cores, batches of one, two or four images run at the same rate and larger ones run slower,
    while each change of the batch size costs up to a batch's time. So the interpreter is never resized: a
    batch is only the number of images passed at once, and no image's output depends on its neighbours. Two
    interpreters of one thread ran 5 to 11 % more images than one of two threads.
    """

    name = "litert"
    best_batch = LiteRTFile.best_batch
    engine_per_thread = True

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        self._card = card
        self._cache_dir = cache_dir
        self._file = LiteRTFile(dim=len(card.labels))
        self.libraries = f"ai-edge-litert {version('ai-edge-litert')}"

    def load(self) -> None:
        """Open the cached export; export first if there is none.

        Raises: CardError if the weights are here but are not the card's, or the export disagrees with Keras;
        UsageError if the libraries for an export are needed and not installed, or if every user can write to
        the cache folder.
        """
        refuse_altered_weights(self._card)
        cached = find_export(self._card, self._cache_dir) or prepare(self._card, self._cache_dir)
        self._file.open(cached.content)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model: (N, H, W, 3) RGB, 0 to 255 → (N, D)."""
        return self._file.run(batch)
