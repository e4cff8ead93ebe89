from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import convolve

from panopticon.cards.cards import CardError, ModelCard
from panopticon.engines.keras import KerasEngine
from panopticon.images.decoding import decode
from panopticon.interfaces import Engine
from panopticon.models.building import build_model
from tests.panopticon.altered import altered
from tests.panopticon.conftest import OpenEngine

Pixels = NDArray[np.uint8]

PHOTOS = (
    "skimage:data/coffee.png",
    "skimage:data/chelsea.png",
    "skimage:data/rocket.jpg",
    "sklearn:datasets/images/china.jpg",
    "sklearn:datasets/images/flower.jpg",
)


@pytest.fixture(scope="module")
def engine(loaded: OpenEngine) -> Engine:
    return loaded("quality@1", "keras")


@pytest.fixture(params=PHOTOS)
def pixels(request: pytest.FixtureRequest, photo: Callable[[str], bytes], quality: ModelCard) -> Pixels:
    """A photo at the model's input size."""
    return decode(photo(request.param), input=quality.input, preprocessing=quality.preprocessing).pixels


def measured(engine: Engine, card: ModelCard, name: str, pictures: list[Pixels]) -> list[float]:
    """One measure of each picture, in order."""
    values: list[float] = engine.run(np.stack(pictures))[:, card.output.names.index(name)].tolist()
    return values


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)


def rounded(values: NDArray[np.floating[Any]]) -> Pixels:
    whole: NDArray[np.floating[Any]] = np.clip(np.rint(values), 0, 255)
    return whole.astype(np.uint8)


def towards(pixels: Pixels, goal: Any, share: float) -> Pixels:
    """Each pixel moved by a share of its way to `goal`."""
    return rounded(pixels + (goal - pixels.astype(np.float64)) * share)


def grey(pixels: Pixels) -> NDArray[np.float64]:
    """The picture's luma in all three colours."""
    weighted: NDArray[np.float64] = pixels @ np.array([0.2126, 0.7152, 0.0722])
    return weighted[..., np.newaxis].repeat(3, axis=-1)


def falls(values: list[float]) -> bool:
    return all(before > after for before, after in pairwise(values))


def rises(values: list[float]) -> bool:
    return falls(values[::-1])


def test_more_blur_lowers_sharpness(engine: Engine, quality: ModelCard, pixels: Pixels) -> None:
    pictures = [blurred(pixels, radius) for radius in (0, 0.5, 1, 2, 4, 8)]
    assert falls(measured(engine, quality, "sharpness", pictures))


def test_more_noise_raises_noise(engine: Engine, quality: ModelCard, pixels: Pixels) -> None:
    field = np.random.default_rng(0).normal(size=pixels.shape)
    pictures = [rounded(pixels + field * sigma) for sigma in (0, 2, 5, 10, 20, 40)]
    assert rises(measured(engine, quality, "noise", pictures))


def test_more_light_raises_brightness(engine: Engine, quality: ModelCard, pixels: Pixels) -> None:
    by_gain = [rounded(pixels * gain) for gain in (0.0, 0.25, 0.5, 1.0, 1.5)]
    by_offset = [rounded(pixels.astype(np.float64) + offset) for offset in (-80, -40, 0, 40, 80)]
    assert rises(measured(engine, quality, "brightness", by_gain))
    assert rises(measured(engine, quality, "brightness", by_offset))


def test_less_saturation_lowers_colourfulness(engine: Engine, quality: ModelCard, pixels: Pixels) -> None:
    pictures = [towards(pixels, grey(pixels), share) for share in (0, 0.25, 0.5, 0.75, 1)]
    colourfulness = measured(engine, quality, "colourfulness", pictures)
    assert falls(colourfulness)
    assert colourfulness[-1] == pytest.approx(0, abs=1e-6)


def test_nearer_to_the_mean_lowers_contrast(engine: Engine, quality: ModelCard, pixels: Pixels) -> None:
    mean = pixels.mean(axis=(0, 1))
    pictures = [towards(pixels, mean, share) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert falls(measured(engine, quality, "contrast", pictures))


def test_a_turned_or_mirrored_photo_measures_the_same(
    engine: Engine, quality: ModelCard, pixels: Pixels
) -> None:
    turned = engine.run(np.stack([pixels, pixels[::-1], pixels[:, ::-1], pixels.transpose(1, 0, 2)]))
    assert turned == pytest.approx(np.repeat(turned[:1], 4, axis=0), abs=1e-5)


def by_definition(pixels: Pixels) -> dict[str, float]:
    """The five formulas written out in float64, with kernels where the model takes differences."""
    rgb = pixels / 255
    red, green, blue = np.moveaxis(rgb, -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    laplacian = convolve(luma, [[0, 1, 0], [1, -4, 1], [0, 1, 0]])[1:-1, 1:-1]
    residue = convolve(luma, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])[1:-1, 1:-1]
    rg, yb = red - green, (red + green) / 2 - blue
    return {
        "sharpness": laplacian.var(),
        "brightness": luma.mean(),
        "contrast": luma.std(),
        "colourfulness": np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()),
        "noise": np.sqrt(np.pi / 2) * np.abs(residue).sum() / (6 * residue.size),
    }


@pytest.mark.parametrize("name", ["keras", "litert"])
def test_both_engines_agree_with_the_formulas(
    loaded: OpenEngine, quality: ModelCard, pixels: Pixels, name: str
) -> None:
    values = loaded("quality@1", name).run(pixels[np.newaxis])[0].tolist()
    expected = by_definition(pixels)
    assert dict(zip(quality.output.names, values, strict=True)) == pytest.approx(expected, abs=1e-5)


SIDE_PX = 6
FINEST = np.indices((SIDE_PX, SIDE_PX)).sum(axis=0) % 2 * 255
GREATEST = {"sharpness": 16, "brightness": 1, "contrast": 0.5, "colourfulness": 2, "noise": 1.68}


@pytest.fixture(scope="module")
def tiny(quality: ModelCard) -> Any:
    """The same measures of pictures of a few pixels."""
    return build_model(altered(quality, input={"width_px": SIDE_PX, "height_px": SIDE_PX}))


@given(pixels=arrays(np.uint8, (SIDE_PX, SIDE_PX, 3), elements=st.sampled_from([0, 1, 127, 254, 255])))
def test_every_measure_of_any_picture_is_finite_and_within_range(
    tiny: Any, quality: ModelCard, pixels: Pixels
) -> None:
    values = np.asarray(tiny.predict_on_batch(pixels[np.newaxis]))[0]
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    greatest = [GREATEST[name] for name in quality.output.names]
    assert (values <= np.array(greatest) + 1e-5).all()


@pytest.mark.parametrize("name", ["keras", "litert"])
@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_has_only_brightness(
    loaded: OpenEngine, quality: ModelCard, name: str, level: int
) -> None:
    flat = np.full((1, quality.input.height_px, quality.input.width_px, 3), level, dtype=np.uint8)
    values = dict(zip(quality.output.names, loaded("quality@1", name).run(flat)[0].tolist(), strict=True))
    assert values.pop("brightness") == pytest.approx(level / 255, abs=1e-5)
    assert values == pytest.approx(dict.fromkeys(values, 0), abs=1e-5)


def test_a_fine_chequerboard_has_the_greatest_sharpness_and_noise(tiny: Any, quality: ModelCard) -> None:
    pixels = np.repeat(FINEST[..., np.newaxis], 3, axis=-1).astype(np.uint8)
    values = dict(zip(quality.output.names, tiny.predict_on_batch(pixels[np.newaxis])[0], strict=True))
    assert values["sharpness"] == pytest.approx(16, rel=1e-5)
    assert values["contrast"] == pytest.approx(0.5, rel=1e-5)
    assert values["noise"] == pytest.approx(np.sqrt(np.pi / 2) * 8 / 6, rel=1e-5)


def test_the_error_for_an_unknown_measure_names_the_known_ones(quality: ModelCard) -> None:
    card = altered(quality, output={"names": ("beauty",)})
    with pytest.raises(CardError, match="unknown measure 'beauty'; known: sharpness, brightness"):
        KerasEngine(card, cache_dir=Path()).load()


def test_a_card_may_choose_measures_and_their_order(quality: ModelCard, pixels: Pixels) -> None:
    names = ("noise", "brightness")
    engine = KerasEngine(altered(quality, output={"names": names}), cache_dir=Path())
    engine.load()
    expected = by_definition(pixels)
    assert engine.run(pixels[np.newaxis])[0].tolist() == pytest.approx(
        [expected[name] for name in names], abs=1e-5
    )
