"""The quality measures as one Keras model without weights, so that it runs and exports like any other."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from panopticon.cards.cards import CardError, ModelCard
from panopticon.models.quality import measures

OF_LUMA = {
    "sharpness": measures.sharpness,
    "brightness": measures.brightness,
    "contrast": measures.contrast,
    "noise": measures.noise,
}
OF_COLOUR = {"colourfulness": measures.colourfulness}


def build(card: ModelCard) -> Any:
    """Build the model: (N, H, W, 3) uint8 RGB → (N, D) float32, one measure per name, in the card's order.

    Raises: CardError for a name that is not a measure.
    """
    image = keras.Input((card.input.height_px, card.input.width_px, 3), dtype="uint8", name="image")
    rgb = layers.Rescaling(1 / 255, name="scale")(image)
    luma = measures.luma(rgb)
    values = [_measure(name, rgb, luma) for name in card.output.names]
    return keras.Model(image, ops.concatenate(values, axis=-1), name="quality")


def _measure(name: str, rgb: Any, luma: Any) -> Any:
    if name in OF_LUMA:
        return OF_LUMA[name](luma)
    if name in OF_COLOUR:
        return OF_COLOUR[name](rgb)
    raise CardError(f"unknown measure {name!r}; known: {', '.join([*OF_LUMA, *OF_COLOUR])}")
