"""An answer has the tags and scores that a worker publishes, and its vector, to the last bit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panopticon.cards.cards import CardError, ModelCard, read_card
from panopticon.errors import Rejected
from panopticon.messages import Lane
from panopticon.results.outputs import Output, OutputKey, quantise
from panopticon.scheduling.items import Item, Ran
from tests.panopticon.null_card import write_null_card
from workers.registry.answers import model_answer, own_policy
from workers.registry.policy_cache import result_message

TAGGING = """
name = "things"
version = 3
task = "tagging"
summary = "Things"
changes = "The first version."
input = { width_px = 8, height_px = 8 }
output = { dtype = "float16", labels = "labels.csv" }
engines = { allowed = ["null"] }
policy = { threshold = 0.05, top_k = 3, hidden = ["dog"] }
"""
LABELS = "label,synset,ancestors\ncat,,animal|mammal\ndog,,animal\ncar,,\nboat,,\ntree,,plant\n"
VECTOR = [0.1, 0.9, 0.3, 0.2, 0.7]


@pytest.fixture
def things(tmp_path: Path) -> ModelCard:
    (tmp_path / "card.toml").write_text(TAGGING)
    (tmp_path / "labels.csv").write_text(LABELS)
    return read_card(tmp_path / "card.toml")


@pytest.fixture
def colour(tmp_path: Path) -> ModelCard:
    return write_null_card(tmp_path / "colour")


def ran(vector: list[float]) -> Ran:
    return Ran(
        item=Item(id=1, lane=Lane.LIVE),
        vector=np.array(vector, dtype=np.float32),
        engine="null",
        libraries="none 1",
        source_sha256="0" * 64,
        width_px=3,
        height_px=2,
    )


def answer(card: ModelCard, values: list[float], /, **options: Any) -> dict[str, Any]:
    chosen = {"top_k": None, "vector": False, **options}
    read_back: dict[str, Any] = json.loads(
        json.dumps(model_answer(card, ran(values), own_policy(card), **chosen))
    )
    return read_back


def published(card: ModelCard, vector: list[float]) -> dict[str, Any]:
    """The message of a worker about the same run."""
    output = Output(
        key=OutputKey(image_id="1", model=card.name, version=card.version, revision=0),
        vector=quantise(np.array(vector, dtype=np.float32), card.output.dtype),
        digest=card.digest,
        engine="null",
        libraries="none 1",
        source_sha256="0" * 64,
        width_px=3,
        height_px=2,
        produced_at_ms=0,
    )
    registered = replace(own_policy(card), policy_number=1)
    return result_message(output, registered, occurred_at=None).model_dump(mode="json")


def test_an_answer_names_the_model_its_digest_its_engine_and_the_policy(colour: ModelCard) -> None:
    assert answer(colour, [0.25, 0.5, 1]) == {
        "model": "colour",
        "version": 1,
        "digest": colour.digest,
        "engine": "null",
        "libraries": "none 1",
        "policy_number": 0,
        "scores": {"red": 0.25, "green": 0.5, "blue": 1.0},
    }


def test_tags_are_those_that_a_worker_publishes(things: ModelCard) -> None:
    tags = answer(things, VECTOR)["tags"]
    assert [tag["label"] for tag in tags] == ["tree", "car", "boat"]
    assert tags == published(things, VECTOR)["tags"]


def test_scores_are_those_that_a_worker_publishes(colour: ModelCard) -> None:
    assert answer(colour, [0.1, 1 / 3, 2e-38])["scores"] == published(colour, [0.1, 1 / 3, 2e-38])["scores"]


@pytest.mark.parametrize(("top_k", "labels"), [(0, []), (1, ["tree"]), (9, ["tree", "car", "boat"])])
def test_top_k_cuts_the_tags_and_adds_none_that_the_policy_drops(
    things: ModelCard, top_k: int, labels: list[str]
) -> None:
    assert [tag["label"] for tag in answer(things, VECTOR, top_k=top_k)["tags"]] == labels


def test_top_k_leaves_scores_alone(colour: ModelCard) -> None:
    assert len(answer(colour, [0, 0, 1], top_k=1)["scores"]) == 3


@pytest.mark.parametrize("name", ["things", "colour"])
def test_a_vector_has_the_bits_that_a_worker_stores(name: str, request: pytest.FixtureRequest) -> None:
    card: ModelCard = request.getfixturevalue(name)
    vector = [0.1, 1 / 3, 1e-7, math.pi, 65504][: len(card.labels)]
    stored = quantise(np.array(vector, dtype=np.float32), card.output.dtype)
    read_back = np.array(answer(card, vector, vector=True)["vector"], dtype=stored.dtype)
    assert read_back.tobytes() == stored.tobytes()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_a_vector_that_cannot_be_stored_is_rejected(things: ModelCard, value: float) -> None:
    with pytest.raises(Rejected, match="not_finite"):
        model_answer(things, ran([value, 0, 0, 0, 0]), own_policy(things), top_k=None, vector=False)


def test_a_card_whose_policy_is_not_valid_is_named(tmp_path: Path) -> None:
    card = write_null_card(tmp_path, 'policy = { rollup = { animal = "max" } }\n')
    with pytest.raises(CardError, match="colour@1, policy: .*animal.*; correct its card"):
        own_policy(card)
