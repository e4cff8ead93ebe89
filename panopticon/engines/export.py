"""Export of a Keras model to a LiteRT file that agrees with it. Only this part of LiteRT needs TensorFlow."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

from panopticon.cards.cards import CardError, ModelCard
from panopticon.engines.agreement import greatest_difference, probes
from panopticon.engines.cache import CachedFile, add_file
from panopticon.engines.keras import KerasEngine
from panopticon.engines.litert_file import SUFFIX, LiteRTFile, export_key
from panopticon.errors import UsageError


def export(card: ModelCard, cache_dir: Path) -> CachedFile:
    """Build, convert and compare the model, and only then cache the file.

    It takes about 10 s and 1.2 GB of memory.
    Raises: CardError if Keras and LiteRT differ by more than the card's tolerance, or as `build_model` does.
    """
    reference = KerasEngine(card, cache_dir=cache_dir)
    reference.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIX}"
        _convert(reference.model, path)
        content = path.read_bytes()
    _refuse_disagreement(card, reference, content)
    return add_file(cache_dir, export_key(card), SUFFIX, content)


def _convert(model: Any, path: Path) -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"LiteRT is exported on Keras's backend tensorflow, not on {keras.backend.backend()}; "
            "unset KERAS_BACKEND, or choose the engine keras"
        )
    with warnings.catch_warnings():
        # TensorFlow warns about its own use of names that it has deprecated.
        warnings.simplefilter("ignore")
        model.export(path, format="litert", verbose=False)


def _refuse_disagreement(card: ModelCard, reference: KerasEngine, content: bytes) -> None:
    exported = LiteRTFile(dim=len(card.labels))
    exported.open(content)
    apart = greatest_difference(reference, exported, probes(card))
    if not apart <= card.engines.tolerance:
        raise CardError(
            f"{card.version_name}: LiteRT differs from Keras by {apart:.3g}, "
            f"its card allows {card.engines.tolerance:g}"
        )
