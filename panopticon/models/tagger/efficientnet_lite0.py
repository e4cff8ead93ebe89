"""EfficientNet-Lite0 as a Keras model with the weights of its torch checkpoint.

Architecture: EfficientNet-Lite (Liu, 2020), which is EfficientNet (Tan and Le, 2019, arXiv:1905.11946)
without squeeze-and-excitation, with ReLU6 in place of swish, and with a stem and a head of fixed size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, ModelCard
from panopticon.models.checkpoint import read_checkpoint
from panopticon.models.weights import verified_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of `repeats` inverted-residual blocks of `filters` outputs; the first block has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, filters=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, filters=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, filters=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, filters=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, filters=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, filters=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, filters=320),
)


def build(card: ModelCard) -> Any:
    """Build the model: (N, H, W, 3) uint8 RGB → (N, 1000) float32 probabilities, each row summing to 1.

    Raises: CardError if the weights are missing, altered, or of another architecture.
    """
    model = architecture(card)
    load_weights(model, read_checkpoint(verified_weights(card)))
    return model


def architecture(card: ModelCard) -> Any:
    """Build the model with Keras's initial weights. Its layers have the names of the checkpoint's tensors."""
    image = keras.Input((card.input.height_px, card.input.width_px, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(image)
    x = _convolution(x, "conv_stem", "bn0", filters=32, kernel=3, stride=2)
    blocks = [(stage, repeat) for stage in STAGES for repeat in range(stage.repeats)]
    for index, (stage, repeat) in enumerate(blocks):
        x = _block(x, f"blocks_{index}", stage, stage.stride if repeat == 0 else 1)
    x = _convolution(x, "conv_head", "bn1", filters=1280, kernel=1)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    x = layers.Dense(len(card.labels), activation="softmax", name="fc")(x)
    return keras.Model(image, x, name="efficientnet_lite0")


def load_weights(model: Any, tensors: dict[str, NDArray[Any]]) -> None:
    """Copy every tensor into the layer of its name. Raises: CardError if the two sets of names differ."""
    prefixes = {}
    for name in tensors:
        prefix = name.rpartition(".")[0]
        # Exports allow no dot in a name and no underscore at its beginning, so the layer of
        # `_blocks.3._expand_conv` is `blocks_3_expand_conv`.
        prefixes[prefix.replace("._", "_").replace(".", "_").removeprefix("_")] = prefix
    wanted = {layer.name for layer in model.layers if layer.weights}
    if wanted != prefixes.keys():
        odd = ", ".join(sorted(wanted ^ prefixes.keys())[:3])
        raise CardError(f"the checkpoint is not one of EfficientNet-Lite0: {odd}")
    for name in wanted:
        layer = model.get_layer(name)
        try:
            layer.set_weights(_arrays(layer, prefixes[name], tensors))
        except (KeyError, ValueError) as error:
            raise CardError(f"the checkpoint is not one of EfficientNet-Lite0: {name}: {error}") from None


def _block(x: Any, name: str, stage: Stage, stride: int) -> Any:
    shortcut, inputs = x, x.shape[-1]
    if stage.expansion > 1:
        x = _convolution(x, f"{name}_expand_conv", f"{name}_bn0", filters=inputs * stage.expansion, kernel=1)
    x = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu6(_normalised(x, f"{name}_bn1"))
    x = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalised(x, f"{name}_bn2")
    return layers.Add(name=f"{name}_add")([x, shortcut]) if stride == 1 and inputs == stage.filters else x


def _convolution(x: Any, name: str, norm: str, *, filters: int, kernel: int, stride: int = 1) -> Any:
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False, name=name)(x)
    return _relu6(_normalised(x, norm))


def _normalised(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, name=name)(x)


def _relu6(x: Any) -> Any:
    return layers.ReLU(max_value=6)(x)


def _arrays(layer: Any, prefix: str, tensors: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return arrays in the order of `layer.weights`, with torch's axes (outputs first) as Keras has them."""
    weight = tensors[f"{prefix}.weight"]
    if isinstance(layer, layers.BatchNormalization):
        return [weight, *(tensors[f"{prefix}.{name}"] for name in ("bias", "running_mean", "running_var"))]
    if isinstance(layer, layers.DepthwiseConv2D):
        return [np.transpose(weight, (2, 3, 0, 1))]
    if isinstance(layer, layers.Conv2D):
        return [np.transpose(weight, (2, 3, 1, 0))]
    return [weight.T, tensors[f"{prefix}.bias"]]
