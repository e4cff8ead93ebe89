from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.cards.cards import Golden, ModelCard, read_card
from panopticon.engines.null import NullEngine
from panopticon.handover.check_card import CheckLine, check_card
from tests.panopticon.altered import altered
from tests.panopticon.null_card import write_null_card


class Narrow(NullEngine):
    name = "narrow"

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().run(batch)[:, :2]


class Infinite(NullEngine):
    name = "infinite"

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().run(batch) + np.float32(np.inf)


class Brighter(NullEngine):
    name = "brighter"

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().run(batch) + np.float32(0.01)


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    """A card that passes every check; its golden example is a red picture."""
    path = tmp_path / "red.png"
    Image.new("RGB", (8, 8), "red").save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    golden = Golden(image="red.png", sha256=sha256, expected={"red": 1.0})
    return altered(write_null_card(tmp_path), golden=(golden,))


WRITTEN = [
    "filled in",
    "changes",
    "unsuitable",
    "needs",
    "labels",
    "limits",
    "policy",
    "weights",
    "licence",
    "preprocessing",
    "golden examples",
]
ELSEWHERE = Golden(image="package:a.png", sha256="0" * 64, expected={"red": 1})
SILENT = Golden(image="b.png", sha256="0" * 64, expected={})


def check(card: ModelCard) -> dict[str, CheckLine]:
    return {line.what: line for line in check_card(card, cache_dir=card.folder)}


def wrong(card: ModelCard) -> dict[str, str]:
    """Return the checks that fail, with their details."""
    return {line.what: line.detail for line in check(card).values() if not line.ok}


def test_a_good_card_passes_every_check(card: ModelCard) -> None:
    lines = check(card)
    assert list(lines) == [*WRITTEN, "null: loads and runs", "null: red.png"]
    assert all(line.ok for line in lines.values())


@pytest.mark.parametrize(
    ("what", "fields", "detail"),
    [
        ("changes", {"changes": " "}, "changes: describe what changed since the previous version"),
        ("unsuitable", {"unsuitable": ""}, "unsuitable: describe the images that it is not for"),
        ("needs", {"needs": {"memory_mb": 0}}, "needs: give memory_mb"),
        ("needs", {"needs": {"hardware": ""}}, "needs: give memory_mb, hardware"),
        ("needs", {"needs": {"images_per_s": 0}}, "images_per_s as measured"),
        (
            "licence",
            {"weights": {"file": "w.bin", "sha256": "0" * 64}},
            "weights.licence: describe",
        ),
        ("golden examples", {"golden": ()}, "golden: add an image in the folder of the card"),
        ("golden examples", {"golden": (ELSEWHERE,)}, "golden: add an image in the folder of the card"),
        ("golden examples", {"golden": (SILENT,)}, "golden: b.png: give its expected answer"),
    ],
)
def test_a_missing_part_of_the_handover_fails_with_what_to_write(
    card: ModelCard, what: str, fields: dict[str, Any], detail: str
) -> None:
    assert detail in wrong(altered(card, **fields))[what]


def test_a_line_to_fill_in_is_named_by_its_number(card: ModelCard) -> None:
    path = card.folder / "card.toml"
    text = path.read_text("utf-8").replace('"Mean colour"', '"FILL IN"  # in one line')
    path.write_text(text, "utf-8")
    number = text.splitlines().index('summary = "FILL IN"  # in one line') + 1
    assert wrong(read_card(path))["filled in"] == f'{path}, line {number}: summary = "FILL IN"  # in one line'


def test_a_label_to_fill_in_is_named_too(card: ModelCard) -> None:
    labels = card.folder / "labels.csv"
    labels.write_text("label\nred\nFILL IN 2\nblue\n", "utf-8")
    tagging = altered(card, task="tagging", output={"labels": "labels.csv"})
    assert wrong(tagging)["filled in"] == f"{labels}, line 3: FILL IN 2"


def test_the_rate_is_measured_by_the_clock_that_is_given(card: ModelCard) -> None:
    seconds = itertools.count(step=2)
    lines = {line.what: line for line in check_card(card, cache_dir=card.folder, clock=lambda: next(seconds))}
    assert lines["null: loads and runs"].detail.endswith(", 128 images/s here")


def test_an_invalid_policy_fails(card: ModelCard) -> None:
    assert wrong(altered(card, policy={"threshold": 2}))["policy"].startswith("policy: threshold: ")


def test_a_policy_with_an_unknown_element_fails(card: ModelCard) -> None:
    assert "'violet'" in wrong(altered(card, policy={"hidden": ["violet"]}))["policy"]


def test_weights_with_another_digest_fail(card: ModelCard) -> None:
    (card.folder / "w.bin").write_bytes(b"altered")
    assert "sha256" in wrong(altered(card, weights={"file": "w.bin", "sha256": "0" * 64}))["weights"]


@pytest.mark.parametrize(("name", "detail"), [("Narrow", "give (8, 2)"), ("Infinite", "not finite")])
def test_an_engine_with_an_invalid_output_fails(card: ModelCard, name: str, detail: str) -> None:
    engine = f"{__name__}:{name}"
    assert detail in wrong(altered(card, engines={"allowed": (engine,)}))[f"{engine}: loads and runs"]


def test_an_engine_that_disagrees_fails_with_the_difference(card: ModelCard) -> None:
    brighter = f"{__name__}:Brighter"
    lines = wrong(altered(card, engines={"allowed": ("null", brighter)}))
    assert lines == {f"{brighter}: agrees with null": "they differ by 0.01, the card allows 0.001"}


def test_an_unknown_engine_fails_and_the_others_are_checked(card: ModelCard) -> None:
    lines = check(altered(card, engines={"allowed": ("nothing", "null")}))
    assert not lines["nothing: loads and runs"].ok
    assert lines["null: loads and runs"].ok


def test_a_golden_example_is_a_line_for_each_engine(card: ModelCard) -> None:
    golden = Golden(image="no_such_package:a.png", sha256="0" * 64, expected={})
    line = check(altered(card, golden=(*card.golden, golden)))["null: no_such_package:a.png"]
    assert (line.ok, line.skipped) == (True, True)


def test_a_missing_golden_image_fails(card: ModelCard) -> None:
    golden = Golden(image="a.png", sha256="0" * 64, expected={})
    assert any("a.png" in detail for detail in wrong(altered(card, golden=(golden,))).values())


def test_the_builder_is_checked_against_the_card(quality: ModelCard, tmp_path: Path) -> None:
    absent = altered(
        quality, architecture="panopticon.models.quality:absent", engines={"allowed": ("keras",)}
    )
    lines = {line.what: line for line in check_card(absent, cache_dir=tmp_path)}
    assert "absent" in lines["keras: loads and runs"].detail
    assert not lines["keras: loads and runs"].ok


def test_the_shipped_quality_model_passes_every_check(quality: ModelCard, cache_dir: Path) -> None:
    lines = list(check_card(quality, cache_dir=cache_dir))
    assert [line for line in lines if not line.ok] == []
    assert "litert: agrees with keras" in [line.what for line in lines]
