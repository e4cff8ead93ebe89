from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.cards.cards import CardError, Golden, ModelCard
from panopticon.engines.null import NullEngine
from panopticon.errors import Unavailable
from panopticon.images.decoding import decode
from panopticon.interfaces import Engine
from panopticon.models.golden import check_golden, golden_images, self_test
from panopticon.models.golden_files import control_picture
from tests.panopticon.altered import altered
from tests.panopticon.conftest import OpenEngine
from tests.panopticon.null_card import write_null_card

RED = {"red": 1.0, "green": 0.0, "blue": 0.0}


class NotANumber(NullEngine):
    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(batch), 3), np.nan, dtype=np.float32)


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def card_with(folder: Path, *golden: Golden) -> ModelCard:
    return altered(write_null_card(folder), golden=golden)


def golden_example(
    folder: Path, encoded: bytes, expected: dict[str, float], *, name: str = "a.png"
) -> Golden:
    """Make a golden example and write its image next to the card."""
    (folder / name).write_bytes(encoded)
    return Golden(image=name, sha256=hashlib.sha256(encoded).hexdigest(), expected=expected)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return NullEngine(write_null_card(tmp_path), cache_dir=tmp_path)


def test_an_engine_with_the_expected_values_passes(tmp_path: Path, engine: Engine) -> None:
    card = card_with(tmp_path, golden_example(tmp_path, png("red"), RED))
    self_test(card, engine)
    assert [(result.ok, result.skipped) for result in check_golden(card, engine)] == [(True, False)]


@pytest.mark.parametrize("expected", [{**RED, "green": 0.03}, {"red": 0.97}])
def test_one_element_beyond_the_tolerance_fails_the_self_test(
    tmp_path: Path, engine: Engine, expected: dict[str, float]
) -> None:
    card = card_with(tmp_path, golden_example(tmp_path, png("red"), expected))
    with pytest.raises(Unavailable, match=r"colour@1 fails its self-test: a\.png: .* not ") as caught:
        self_test(card, engine)
    assert caught.value.component == "model"


def test_an_element_that_is_not_a_number_fails(tmp_path: Path) -> None:
    card = card_with(tmp_path, golden_example(tmp_path, png("red"), {"red": 1.0}))
    assert not check_golden(card, NotANumber(card, cache_dir=tmp_path))[0].ok


def test_elements_that_an_example_leaves_out_are_not_checked(tmp_path: Path, engine: Engine) -> None:
    self_test(card_with(tmp_path, golden_example(tmp_path, png("red"), {"blue": 0.0})), engine)


def test_every_example_is_checked_in_the_cards_order(tmp_path: Path, engine: Engine) -> None:
    right = golden_example(tmp_path, png("red"), RED, name="right.png")
    wrong = golden_example(tmp_path, png("blue"), RED, name="wrong.png")
    results = check_golden(card_with(tmp_path, right, wrong), engine)
    assert [(result.image, result.ok) for result in results] == [("right.png", True), ("wrong.png", False)]


@pytest.mark.parametrize(
    "image", ["no_such_package:a.png", "skimage:data/no-such.png", "skimage:data/coffee.png"]
)
def test_an_image_of_a_package_that_is_not_here_is_skipped_with_a_note(
    tmp_path: Path, engine: Engine, image: str
) -> None:
    card = card_with(tmp_path, Golden(image=image, sha256="0" * 64, expected=RED))
    (result,) = check_golden(card, engine)
    assert (result.ok, result.skipped) == (True, True)
    assert result.detail
    self_test(card, engine)


def test_a_missing_image_next_to_the_card_is_an_error(tmp_path: Path, engine: Engine) -> None:
    card = card_with(tmp_path, Golden(image="a.png", sha256="0" * 64, expected=RED))
    with pytest.raises(CardError, match=r"a\.png: No such file"):
        check_golden(card, engine)


def test_the_error_for_an_altered_image_next_to_the_card_names_both_digests(
    tmp_path: Path, engine: Engine
) -> None:
    card = card_with(tmp_path, golden_example(tmp_path, png("red"), RED))
    (tmp_path / "a.png").write_bytes(png("blue"))
    with pytest.raises(CardError) as caught:
        check_golden(card, engine)
    for content in (png("red"), png("blue")):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)


def test_an_image_that_cannot_be_decoded_is_an_error(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(CardError, match=r"golden image a\.png"):
        check_golden(card_with(tmp_path, golden_example(tmp_path, b"no image", RED)), engine)


def test_an_expected_element_that_the_model_does_not_have_is_an_error(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(CardError, match="expects an unknown element 'violet'"):
        check_golden(card_with(tmp_path, golden_example(tmp_path, png("red"), {"violet": 0.0})), engine)


def test_golden_images_have_the_cards_input_size(tmp_path: Path) -> None:
    (image,) = golden_images(card_with(tmp_path, golden_example(tmp_path, png("red"), RED)))
    assert image.pixels is not None
    assert image.pixels.shape == (8, 8, 3)


@pytest.mark.parametrize("name", ["keras", "litert"])
@pytest.mark.parametrize("version", ["tagger@1", "quality@1"])
def test_the_shipped_models_pass_their_golden_examples(
    loaded: OpenEngine, tagger: ModelCard, quality: ModelCard, version: str, name: str
) -> None:
    card = {"tagger@1": tagger, "quality@1": quality}[version]
    results = check_golden(card, loaded(version, name))
    assert [result for result in results if not result.ok or result.skipped] == []
    assert len(results) >= 3


def test_the_control_is_the_first_golden_image_on_this_machine(tmp_path: Path) -> None:
    elsewhere = Golden(image="no_such_package:a.png", sha256="0" * 64, expected=RED)
    card = card_with(tmp_path, elsewhere, golden_example(tmp_path, png("red"), RED))
    assert control_picture(card) == png("red")


def test_without_a_golden_image_the_control_is_a_plain_picture_that_can_be_decoded(tmp_path: Path) -> None:
    card = card_with(tmp_path)
    decoded = decode(control_picture(card), input=card.input, preprocessing=card.preprocessing)
    assert decoded.pixels.shape == (card.input.height_px, card.input.width_px, 3)
