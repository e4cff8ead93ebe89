from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from panopticon.cards.cards import CardError, ModelCard
from panopticon.images.decoding import decode
from panopticon.models.building import build_model
from panopticon.models.checkpoint import read_checkpoint
from panopticon.models.tagger.efficientnet_lite0 import architecture, load_weights
from panopticon.models.weights import verified_weights
from panopticon.results.documents import fold_label
from tests.panopticon.altered import altered
from tests.panopticon.conftest import OpenEngine

ENGINES = ("keras", "litert")


def probabilities(engine: Any, card: ModelCard, encoded: bytes) -> dict[str, float]:
    pixels = decode(encoded, input=card.input, preprocessing=card.preprocessing).pixels
    vector = engine.run(pixels[np.newaxis])[0].tolist()
    return dict(zip((row.label for row in card.labels), vector, strict=True))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("skimage:data/coffee.png", {"espresso": 0.95}),
        ("skimage:data/chelsea.png", {"tiger cat": 0.39, "Egyptian cat": 0.36, "tabby": 0.17}),
        ("skimage:data/motorcycle_left.png", {"moped": 0.53}),
        ("skimage:data/rocket.jpg", {"missile": 0.32}),
        ("sklearn:datasets/images/china.jpg", {"palace": 0.36}),
        ("sklearn:datasets/images/flower.jpg", {"daisy": 0.33}),
    ],
)
def test_known_photos_are_tagged_as_the_published_weights_tag_them(
    loaded: OpenEngine,
    tagger: ModelCard,
    photo: Callable[[str], bytes],
    name: str,
    image: str,
    expected: dict[str, float],
) -> None:
    found = probabilities(loaded("tagger@1", name), tagger, photo(image))
    best = sorted(found, key=found.__getitem__, reverse=True)[: len(expected)]
    assert best == list(expected)
    assert {label: found[label] for label in best} == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("name", ENGINES)
def test_probabilities_sum_to_one_for_any_picture(loaded: OpenEngine, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    flat = np.stack([np.zeros_like(noise[0]), np.full_like(noise[0], 255)])
    outputs = loaded("tagger@1", name).run(np.concatenate([noise, flat]))
    assert outputs.dtype == np.float32
    assert outputs.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-4)
    assert (outputs >= 0).all()


def test_there_are_1000_labels_each_with_its_own_synset(tagger: ModelCard) -> None:
    synsets = [row.synset for row in tagger.labels]
    assert len(set(synsets)) == 1000
    assert synsets == sorted(synsets)


def test_no_two_labels_are_equal_for_search(tagger: ModelCard) -> None:
    assert len({fold_label(row.label) for row in tagger.labels}) == 1000


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("tiger cat", "animal"),
        ("tiger cat", "cat"),
        ("tiger cat", "feline"),
        ("golden retriever", "dog"),
        ("robin", "bird"),
        ("cab", "car"),
        ("cab", "taxi"),
        ("moped", "vehicle"),
        ("espresso", "drink"),
        ("espresso", "food"),
        ("daisy", "flower"),
        ("crane (bird)", "crane"),
        ("crane (machine)", "crane"),
    ],
)
def test_a_broader_term_finds_the_label(tagger: ModelCard, label: str, term: str) -> None:
    ancestors = {row.label: row.ancestors for row in tagger.labels}
    assert term in ancestors[label]


@pytest.mark.parametrize(
    ("label", "term"),
    [("espresso", "animal"), ("moped", "container"), ("tiger cat", "entity"), ("tiger cat", "dog")],
)
def test_a_wrong_or_meaningless_term_does_not_find_the_label(
    tagger: ModelCard, label: str, term: str
) -> None:
    ancestors = {row.label: row.ancestors for row in tagger.labels}
    assert term not in ancestors[label]


def test_colours_are_scaled_as_the_weights_were_trained(tagger: ModelCard) -> None:
    scale = architecture(tagger).get_layer("scale")
    assert np.asarray(scale(np.array([0, 127, 255], dtype=np.uint8))).tolist() == [-127 / 128, 0, 1]


def test_a_checkpoint_without_one_tensor_is_not_loaded(tagger: ModelCard) -> None:
    tensors = read_checkpoint(verified_weights(tagger))
    del tensors["_fc.bias"]
    with pytest.raises(CardError, match=r"not one of EfficientNet-Lite0: fc: '_fc\.bias'"):
        load_weights(architecture(tagger), tensors)


def test_a_checkpoint_with_a_layer_too_many_is_not_loaded(tagger: ModelCard) -> None:
    tensors = read_checkpoint(verified_weights(tagger))
    tensors["_extra.weight"] = np.zeros(1)
    with pytest.raises(CardError, match="not one of EfficientNet-Lite0: extra"):
        load_weights(architecture(tagger), tensors)


def test_a_tensor_of_another_shape_is_not_loaded(tagger: ModelCard) -> None:
    tensors = read_checkpoint(verified_weights(tagger))
    with pytest.raises(CardError, match="not one of EfficientNet-Lite0: fc"):
        load_weights(architecture(tagger), {**tensors, "_fc.bias": np.zeros(999, dtype=np.float32)})


def test_weights_that_are_not_the_cards_are_not_built(tagger: ModelCard) -> None:
    with pytest.raises(CardError, match="its card has 0000"):
        build_model(altered(tagger, weights={"sha256": "0" * 64}))
