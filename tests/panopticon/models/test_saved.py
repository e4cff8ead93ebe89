from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, ModelCard, read_card
from panopticon.engines import open_engine
from panopticon.models.building import build_model
from tests.panopticon.altered import altered

SIZE_PX = 16

CARD = """
name = "colour"
version = 1
task = "scoring"
summary = "Mean colour"
changes = "The first version."

[input]
width_px = 16
height_px = 16

[output]
names = ["red", "green", "blue"]

[weights]
file = "{file}"
sha256 = "{sha256}"
"""

Save = Callable[[Any], ModelCard]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that saves a model and returns a card for it."""

    def save(model: Any, file: str = "model.keras") -> ModelCard:
        model.save(tmp_path / file)
        return card_of(tmp_path / file)

    return save


def card_of(path: Path) -> ModelCard:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    card = path.with_name("card.toml")
    card.write_text(CARD.format(file=path.name, sha256=sha256), "utf-8")
    return read_card(card)


def mean_colour(*, dtype: str = "float32", size_px: int | None = SIZE_PX, channels: int = 3) -> Any:
    """Build a model that returns the mean of its input, unscaled."""
    import keras

    image = keras.Input((size_px, size_px, channels), dtype=dtype)
    floats = keras.layers.Rescaling(1.0)(image) if dtype == "uint8" else image
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(floats))


def through(layer: Any) -> Any:
    import keras

    image = keras.Input((SIZE_PX, SIZE_PX, 3))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(layer(image)))


def flat(red: int, green: int, blue: int) -> NDArray[np.uint8]:
    return np.full((1, SIZE_PX, SIZE_PX, 3), (red, green, blue), dtype=np.uint8)


def output_for(card: ModelCard, picture: NDArray[np.uint8]) -> list[float]:
    values: list[float] = build_model(card).predict_on_batch(picture)[0].tolist()
    return values


@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_model_runs_by_its_card_alone(save: Any, file: str) -> None:
    assert output_for(save(mean_colour(), file), flat(10, 20, 30)) == [10, 20, 30]


def test_a_model_that_takes_pixels_is_run_as_it_is(save: Save) -> None:
    assert output_for(save(mean_colour(dtype="uint8")), flat(10, 20, 30)) == [10, 20, 30]


def test_pixels_are_scaled_to_floats_by_the_numbers_in_the_card(save: Save) -> None:
    card = altered(save(mean_colour()), input={"scaling": {"multiply": 0.5, "add": -1.0}})
    assert output_for(card, flat(10, 20, 30)) == [4, 9, 14]


def test_each_channel_is_scaled_separately_in_the_models_order(save: Save) -> None:
    scaling = {"multiply": (1.0, 2.0, 4.0), "add": (0.0, 0.0, 1.0)}
    card = altered(save(mean_colour()), input={"scaling": scaling, "order": "BGR"})
    assert output_for(card, flat(10, 20, 30)) == [30, 40, 41]


def test_a_model_of_open_size_gets_the_size_in_the_card(save: Save) -> None:
    assert output_for(save(mean_colour(size_px=None)), flat(10, 20, 30)) == [10, 20, 30]


def test_litert_gives_the_same_output(save: Save, tmp_path: Path) -> None:
    card = altered(save(mean_colour()), input={"scaling": {"multiply": 0.5, "add": -1.0}, "order": "BGR"})
    engine = open_engine(card, engine="litert", cache_dir=tmp_path / "cache")
    engine.load()
    assert engine.run(flat(10, 20, 30)).tolist() == [[14, 9, 4]]


def refused(card: ModelCard) -> str:
    with pytest.raises(CardError) as caught:
        build_model(card)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_lambda_layer_is_refused_with_the_way_out(save: Save) -> None:
    import keras

    message = refused(save(through(keras.layers.Lambda(lambda x: x / 255))))
    assert "model.keras holds a Lambda layer" in message
    assert "keras.layers.Rescaling" in message
    assert "architecture = module:function" in message


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_lambda_layer_in_an_older_file_is_refused_too(save: Any) -> None:
    import keras

    assert "holds a Lambda layer" in refused(save(through(keras.layers.Lambda(lambda x: x)), "model.h5"))


def test_a_layer_that_contains_a_program_is_refused_too(save: Save, tmp_path: Path) -> None:
    import keras

    mean_colour().export(tmp_path / "program", format="tf_saved_model", verbose=False)
    layer = keras.layers.TFSMLayer(str(tmp_path / "program"), call_endpoint="serve")
    image = keras.Input((SIZE_PX, SIZE_PX, 3))
    assert "holds a TFSMLayer layer" in refused(save(keras.Model(image, layer(image))))


def test_the_error_for_a_layer_that_is_not_part_of_keras_names_it(save: Save) -> None:
    import keras

    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * 2

    assert "needs 'Doubled', which is not part of Keras" in refused(save(through(Doubled())))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    assert "model.keras is not a Keras model, or a damaged one" in refused(card_of(tmp_path / "model.keras"))


def test_the_error_for_weights_without_a_model_names_the_way_out(tmp_path: Path) -> None:
    mean_colour().save_weights(tmp_path / "model.weights.h5")
    weights = (tmp_path / "model.weights.h5").rename(tmp_path / "model.h5")
    assert "holds weights but no model: save the whole model as .keras" in refused(card_of(weights))


def test_the_error_for_a_model_of_another_size_names_both_sizes(save: Save) -> None:
    message = refused(altered(save(mean_colour()), input={"width_px": 32}))
    assert "takes 16 × 16 px, its card has 32 × 16" in message


def test_the_error_for_a_model_of_other_elements_names_both_shapes(save: Save) -> None:
    message = refused(altered(save(mean_colour()), output={"names": ("red", "green")}))
    assert "(None, 3), its card expects" in message


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: mean_colour(channels=1), "has to be (N, height, width, 3), channels last"),
        (lambda: mean_colour(dtype="int32"), "takes int32"),
    ],
)
def test_another_kind_of_input_is_refused(save: Save, model: Callable[[], Any], message: str) -> None:
    assert message in refused(save(model()))


def test_several_outputs_are_refused(save: Save) -> None:
    import keras

    image = keras.Input((SIZE_PX, SIZE_PX, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    assert "has to be one input to one output" in refused(save(keras.Model(image, [pooled, pooled * 2])))


def test_scaling_for_a_model_that_scales_by_itself_is_refused(save: Save) -> None:
    card = altered(save(mean_colour(dtype="uint8")), input={"scaling": {"multiply": 0.5}})
    assert "scales by itself: leave input.scaling and input.order out" in refused(card)


def test_one_changed_byte_is_refused_before_the_file_is_read(save: Save) -> None:
    card = save(mean_colour())
    path = card.folder / "model.keras"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "has sha256" in refused(card)


def test_scaling_and_order_are_in_the_digest(save: Save) -> None:
    card = save(mean_colour())
    scaled = altered(card, input={"scaling": {"multiply": 0.5}})
    turned = altered(card, input={"order": "BGR"})
    other = altered(card, weights={"sha256": "0" * 64})
    assert len({card.digest, scaled.digest, turned.digest, other.digest}) == 4


def test_the_order_of_engines_is_not_in_the_digest(save: Save) -> None:
    card = save(mean_colour())
    assert altered(card, engines={"allowed": ("keras", "litert")}).digest == card.digest
