"""LiteRT: the default on a CPU. Runs the file exported from the Keras model, without TensorFlow."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines.cache import find_file
from panopticon.models.weights import refuse_altered_weights

SUFFIX = ".tflite"


class LiteRTEngine:
    """One interpreter of one thread, fixed at one image a run.

    Measured on two cores, a batch of one, two or four images runs at one rate and larger ones run slower,
    while each change of the batch size costs up to a batch's time. So the interpreter is never resized; a
    batch is only what is handed over at once, and no image's output depends on its neighbours. Two
    interpreters of one thread ran 5 to 11 % more images than one of two threads.
    """

    name = "litert"
    best_batch = 4
    one_a_thread = True

    def __init__(self, card: ModelCard, *, cache_dir: Path) -> None:
        self._card = card
        self._cache_dir = cache_dir
        self._interpreter: Any = None
        self._input = self._output = -1
        self.libraries = f"ai-edge-litert {version('ai-edge-litert')}"

    def load(self) -> None:
        """Open the cached export, exporting first if there is none.

        Raises: CardError if the weights are here but are not the card's, or the export disagrees with Keras;
        UsageError if it has to be exported and what that needs is not installed.
        """
        refuse_altered_weights(self._card)
        self.open(_find_export(self._card, self._cache_dir) or prepare(self._card, self._cache_dir))

    def open(self, path: Path) -> None:
        """Read one exported file."""
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB, 0 to 255 → (N, D)."""
        outputs = np.empty((len(batch), len(self._card.labels)), dtype=np.float32)
        for row, image in zip(outputs, batch, strict=True):
            self._interpreter.set_tensor(self._input, image[np.newaxis])
            self._interpreter.invoke()
            row[:] = self._interpreter.get_tensor(self._output)[0]
        return outputs


def prepared(card: ModelCard, cache_dir: Path) -> bool:
    """Whether an export of this version lies in the cache, whole."""
    return _find_export(card, cache_dir) is not None


def prepare(card: ModelCard, cache_dir: Path) -> Path:
    """Export now. Imports TensorFlow, so a long-lived process had better run `panopticon.engines.prepare`."""
    from panopticon.engines.export import export

    return export(card, cache_dir)


def export_key(card: ModelCard) -> str:
    """What decides an export: the version's digest, and the libraries that make and run it."""
    libraries = f"keras{version('keras')}-litert{version('ai-edge-litert')}"
    return f"{card.name}-{card.version}-{card.digest[:16]}-{libraries}"


def _find_export(card: ModelCard, cache_dir: Path) -> Path | None:
    return find_file(cache_dir, export_key(card), SUFFIX)
