"""A LiteRT file exported from a Keras model: its name in the cache, and an interpreter that runs it."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard
from panopticon.engines.cache import CachedFile, find_file

SUFFIX = ".tflite"


class LiteRTFile:
    """An interpreter of one thread, fixed at one image per run. It needs no TensorFlow."""

    best_batch = 4

    def __init__(self, *, dim: int) -> None:
        self._dim = dim
        self._interpreter: Any = None
        self._input = self._output = -1

    def open(self, content: bytes) -> None:
        """Load the content of one exported file."""
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=_one_copy(content), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model: (N, H, W, 3) RGB, 0 to 255 → (N, D)."""
        outputs = np.empty((len(batch), self._dim), dtype=np.float32)
        for row, image in zip(outputs, batch, strict=True):
            self._interpreter.set_tensor(self._input, image[np.newaxis])
            self._interpreter.invoke()
            row[:] = self._interpreter.get_tensor(self._output)[0]
        return outputs


@lru_cache(maxsize=2)
def _one_copy(content: bytes) -> bytes:
    """Return the first one of equal contents, so that the interpreters of all threads share its memory."""
    return content


def export_key(card: ModelCard) -> str:
    """Return the cache key of an export: the version's digest, and the libraries that make and run it."""
    libraries = f"keras{version('keras')}-litert{version('ai-edge-litert')}"
    return f"{card.name}-{card.version}-{card.digest[:16]}-{libraries}"


def find_export(card: ModelCard, cache_dir: Path) -> CachedFile | None:
    """Return the cached export of this version, if there is an undamaged one.

    Raises: UsageError if every user can write to the folder.
    """
    return find_file(cache_dir, export_key(card), SUFFIX)
