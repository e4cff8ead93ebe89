from __future__ import annotations

from typing import Any

import pytest

from panopticon.cards.cards import CardError, ModelCard
from panopticon.models.building import build_model
from tests.panopticon.altered import altered


def narrow(card: ModelCard) -> Any:
    """Build a model with one element fewer than the card has."""
    import keras

    image = keras.Input((card.input.height_px, card.input.width_px, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, pooled)


def takes_floats(card: ModelCard) -> Any:
    """Build a model whose input is not uint8."""
    import keras

    image = keras.Input((card.input.height_px, card.input.width_px, 3))
    return keras.Model(
        image, keras.layers.Dense(len(card.labels))(keras.layers.GlobalAveragePooling2D()(image))
    )


def test_the_built_model_has_the_cards_shape(quality: ModelCard) -> None:
    model = build_model(quality)
    assert tuple(model.input_shape) == (None, 320, 320, 3)
    assert tuple(model.output_shape) == (None, 5)


@pytest.mark.parametrize(
    ("builder", "message"),
    [("narrow", r"\(None, 3\), its card expects .*\(None, 5\)"), ("takes_floats", "float32, not uint8")],
)
def test_a_model_that_does_not_match_its_card_is_refused(
    quality: ModelCard, builder: str, message: str
) -> None:
    with pytest.raises(CardError, match=message):
        build_model(altered(quality, architecture=f"{__name__}:{builder}"))


@pytest.mark.parametrize(
    "architecture", ["no_such_module:build", "panopticon.models.quality:absent", "words", ":"]
)
def test_the_error_for_a_missing_builder_names_it(quality: ModelCard, architecture: str) -> None:
    with pytest.raises(CardError, match=f"architecture '{architecture}'"):
        build_model(altered(quality, architecture=architecture))
