"""A whole Keras model in a file, read without running code from the file and adapted to uint8 RGB input."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from panopticon.cards.cards import CardError, Input, ModelCard, Scaling
from panopticon.models.weights import verified_weights

_UNKNOWN = re.compile(r"Could not locate (?:class|function) '([^']+)'")
_UNSAFE = re.compile(r"deserialization of an? `(\w+)`")
_MAX_DETAIL_CHARS = 200


def saved_model(card: ModelCard) -> Any:
    """Read the card's weights file as a keras.Model: (N, height_px, width_px, 3) uint8 RGB → (N, D) float32.

    A model that takes floats gets first layers that convert pixels to floats by `scaling` and `order`.
    Raises: CardError if the file is not the card's, `open_saved` refuses it, or it takes another size.
    """
    path = verified_weights(card)
    model = open_saved(path)
    height_px, width_px = model.input_shape[1:3]
    # A model that leaves its size open takes any.
    if height_px not in (None, card.input.height_px) or width_px not in (None, card.input.width_px):
        raise CardError(
            f"{path} takes {width_px} × {height_px} px, its card has {card.input.width_px} × "
            f"{card.input.height_px}: correct input.width_px and input.height_px"
        )
    if model.inputs[0].dtype != "uint8":
        return _with_pixels(model, card.input)
    if card.input.adapted:
        raise CardError(f"{path} takes uint8 and scales by itself: leave input.scaling and input.order out")
    return model


def open_saved(path: Path) -> Any:
    """Read the keras.Model in the file: one input (N, H, W, 3) of uint8 or floats and one output (N, D).

    Raises: CardError if it cannot be read, would run code from the file, or is another kind of model.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # Any exception of Keras is about the file here: its readers raise those of their libraries.
        raise CardError(f"{path} {_refusal(str(error))}") from error
    inputs, outputs = model.inputs, model.outputs
    shapes = f"{model.input_shape} to {model.output_shape}"
    if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0].shape) != 2:
        raise CardError(f"{path} maps {shapes}; it has to be one input to one output (N, D)")
    if len(inputs[0].shape) != 4 or inputs[0].shape[-1] != 3:
        raise CardError(f"{path} maps {shapes}; its input has to be (N, height, width, 3), channels last")
    if inputs[0].dtype != "uint8" and "float" not in inputs[0].dtype:
        raise CardError(f"{path} takes {inputs[0].dtype}; it has to be uint8 or a float")
    return model


def _refusal(error: str) -> str:
    builder = "give `architecture = module:function`, which builds the model in code that is installed"
    if unsafe := _UNSAFE.search(error):
        return (
            f"holds a {unsafe[1]} layer, which would run code from the file: "
            f"replace it by a layer class (keras.layers.Rescaling, …) and save again, or {builder}"
        )
    if unknown := _UNKNOWN.search(error):
        return f"needs {unknown[1]!r}, which is not part of Keras: use Keras's layers, or {builder}"
    if "No model config" in error:
        return f"holds weights but no model: save the whole model as .keras, or {builder}"
    if "File not found" in error:
        return "is not a Keras model, or a damaged one: it is not a zip archive"
    return f"is not a Keras model, or a damaged one: {' '.join(error.split())[:_MAX_DETAIL_CHARS]}"


def _with_pixels(model: Any, input_: Input) -> Any:
    import keras

    scaling = input_.scaling or Scaling()
    image = keras.Input((input_.height_px, input_.width_px, 3), dtype="uint8", name="image")
    ordered = keras.ops.flip(image, axis=-1) if input_.order == "BGR" else image
    floats = keras.layers.Rescaling(scaling.multiply, offset=scaling.add, name="scale")(ordered)
    return keras.Model(image, model(floats), name="saved_model")
