from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from panopticon.cards.cards import CardError, ModelCard
from panopticon.engines import open_engine
from panopticon.engines.keras import KerasEngine
from panopticon.engines.litert import LiteRTEngine
from panopticon.engines.null import NullEngine
from panopticon.errors import UsageError
from tests.panopticon.altered import altered
from tests.panopticon.conftest import OpenEngine
from tests.panopticon.null_card import write_null_card


class OwnEngine(NullEngine):
    """A custom engine."""


@pytest.fixture
def null_card(tmp_path: Path) -> ModelCard:
    return write_null_card(tmp_path)


def test_the_first_allowed_engine_is_the_default(tagger: ModelCard, tmp_path: Path) -> None:
    assert isinstance(open_engine(tagger, cache_dir=tmp_path), LiteRTEngine)


def test_an_engine_is_chosen_by_name(tagger: ModelCard, tmp_path: Path) -> None:
    assert isinstance(open_engine(tagger, engine="keras", cache_dir=tmp_path), KerasEngine)


def test_the_error_for_an_engine_that_the_card_does_not_allow_names_those_it_does(
    tagger: ModelCard, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match="tagger@1 does not run on engine 'null'; its card allows: litert, keras"
    ):
        open_engine(tagger, engine="null", cache_dir=tmp_path)


def test_a_custom_engine_is_named_by_module_and_class(null_card: ModelCard) -> None:
    card = altered(null_card, engines={"allowed": (f"{__name__}:OwnEngine",)})
    assert isinstance(open_engine(card, cache_dir=null_card.folder), OwnEngine)


@pytest.mark.parametrize("name", ["nothing", "no.such.module:Class", f"{__name__}:Missing", ":", ".x:Y"])
def test_the_error_for_an_unknown_engine_names_the_known_ones(null_card: ModelCard, name: str) -> None:
    card = altered(null_card, engines={"allowed": (name,)})
    with pytest.raises(UsageError, match="known: keras, litert, null, or module:Class"):
        open_engine(card, cache_dir=null_card.folder)


def test_opening_an_engine_reads_nothing(tagger: ModelCard, tmp_path: Path) -> None:
    card = altered(tagger, weights={"sha256": "0" * 64})
    open_engine(card, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@given(batch=arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(8), st.just(8), st.just(3))))
def test_the_null_engine_gives_mean_colours(
    tmp_path_factory: pytest.TempPathFactory, batch: NDArray[np.uint8]
) -> None:
    engine = NullEngine(write_null_card(tmp_path_factory.getbasetemp()), cache_dir=Path())
    engine.load()
    outputs = engine.run(batch)
    assert outputs.dtype == np.float32
    assert outputs.shape == (len(batch), 3)
    assert np.allclose(outputs, (batch / 255).mean(axis=(1, 2)), atol=1e-6)


def test_the_null_engine_refuses_a_card_of_other_elements(null_card: ModelCard) -> None:
    card = altered(null_card, output={"names": ("grey",)})
    with pytest.raises(CardError, match="3 elements"):
        NullEngine(card, cache_dir=Path()).load()


@pytest.mark.parametrize("version", ["tagger@1", "quality@1"])
@pytest.mark.parametrize("name", ["keras", "litert"])
def test_an_output_does_not_depend_on_its_neighbours(
    loaded: OpenEngine, tagger: ModelCard, quality: ModelCard, version: str, name: str
) -> None:
    card, engine = {"tagger@1": tagger, "quality@1": quality}[version], loaded(version, name)
    shape = (5, card.input.height_px, card.input.width_px, 3)
    batch = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    alone = np.concatenate([engine.run(image[np.newaxis]) for image in batch])
    assert engine.run(batch) == pytest.approx(alone, abs=card.engines.tolerance)


@pytest.mark.parametrize("version", ["tagger@1", "quality@1"])
@pytest.mark.parametrize("name", ["keras", "litert"])
def test_an_engine_names_its_libraries_and_runs_its_best_batch(
    loaded: OpenEngine, tagger: ModelCard, quality: ModelCard, version: str, name: str
) -> None:
    card, engine = {"tagger@1": tagger, "quality@1": quality}[version], loaded(version, name)
    batch = np.zeros((engine.best_batch, card.input.height_px, card.input.width_px, 3), dtype=np.uint8)
    assert engine.run(batch).shape == (engine.best_batch, len(card.labels))
    assert engine.name == name
    assert {"keras": "keras 3", "litert": "ai-edge-litert "}[name] in engine.libraries
