from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from panopticon.cards.cards import SHIPPED, CardError, Golden, ModelCard, canonical_json, read_card
from panopticon.models import find_card, parse_version
from tests.panopticon.altered import altered
from tests.panopticon.null_card import NULL_CARD, write_null_card


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("weights", "sha256", "0" * 64),
        ("preprocessing", "crop", 0.9),
        ("preprocessing", "resize", "box"),
        ("input", "width_px", 225),
        ("output", "dtype", "float32"),
    ],
)
def test_a_field_that_affects_the_output_changes_the_digest(
    tagger: ModelCard, section: str, field: str, value: Any
) -> None:
    assert altered(tagger, **{section: {field: value}}).digest != tagger.digest


def test_a_raised_revision_of_the_architecture_changes_the_digest(tagger: ModelCard) -> None:
    assert altered(tagger, architecture_revision=2).digest != tagger.digest


def test_another_builder_changes_the_digest(tagger: ModelCard) -> None:
    assert altered(tagger, architecture="other:build").digest != tagger.digest


def test_another_custom_engine_changes_the_digest(tmp_path: Path) -> None:
    card = write_null_card(tmp_path)
    assert altered(card, engines={"allowed": ("plug:In",)}).digest != card.digest


def test_renaming_or_reordering_the_elements_changes_the_digest(quality: ModelCard) -> None:
    names = quality.output.names
    renamed = altered(quality, output={"names": ("blur", *names[1:])})
    reordered = altered(quality, output={"names": names[::-1]})
    assert len({quality.digest, renamed.digest, reordered.digest}) == 3


@pytest.mark.parametrize(("old", "new"), [("tench,", "Tench,"), ("n01440764", "n99999999")])
def test_one_changed_label_or_synset_changes_the_digest(
    tmp_path: Path, tagger: ModelCard, old: str, new: str
) -> None:
    folder = Path(shutil.copytree(SHIPPED / "tagger", tmp_path / "tagger"))
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text("utf-8").replace(old, new, 1), "utf-8")
    assert read_card(folder / "card.toml").digest != tagger.digest


@pytest.mark.parametrize(
    "update",
    [
        {"summary": "another"},
        {"changes": "another"},
        {"needs": {"memory_mb": 1, "hardware": "gpu"}},
        {"policy": {"threshold": 0.9}},
        {"engines": {"tolerance": 0.5}},
        {"limits": {"min_coverage": 0.5}},
        {"golden": (Golden(image="x.png", sha256="0" * 64, expected={}),)},
    ],
)
def test_a_field_that_does_not_affect_the_output_leaves_the_digest(
    tagger: ModelCard, update: dict[str, Any]
) -> None:
    assert altered(tagger, **update).digest == tagger.digest


def test_a_card_moved_to_another_folder_has_the_same_digest(tmp_path: Path, tagger: ModelCard) -> None:
    moved = Path(shutil.copytree(SHIPPED / "tagger", tmp_path / "elsewhere"))
    assert read_card(moved / "card.toml").digest == tagger.digest


def test_equal_values_have_one_canonical_text() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"no model card at .*card\.toml"):
        read_card(tmp_path / "card.toml")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("name = ", "Invalid value"),
        (NULL_CARD.replace("version = 1", "version = 0"), "version: "),
        (NULL_CARD.replace('"colour"', '"Colour"'), "name: "),
        (NULL_CARD + "surprise = 1", "surprise: "),
        (NULL_CARD.replace("width_px = 8", "width_px = 0"), "input.width_px: "),
        (NULL_CARD.replace('["null"]', "[]"), "engines.allowed: "),
        (NULL_CARD.replace('["null"]', '["litert"]'), "architecture: "),
        (NULL_CARD.replace('"scoring"', '"tagging"'), "output.labels: "),
        (NULL_CARD.replace(', names = ["red", "green", "blue"]', ""), "output.names: "),
    ],
)
def test_the_error_for_a_wrong_card_names_its_path_and_key(tmp_path: Path, wrong: str, message: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(wrong, "utf-8")
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert str(caught.value).startswith(f"model card {path}: {message}")
    assert "\n" not in str(caught.value)


def test_the_error_for_a_card_that_is_not_text_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CardError, match=r"card\.toml"):
        read_card(path)


def labelled_card(folder: Path, labels: str) -> ModelCard:
    (folder / "labels.csv").write_text(labels, "utf-8")
    text = NULL_CARD.replace('"scoring"', '"tagging"')
    (folder / "card.toml").write_text(text.replace("names = ", 'labels = "labels.csv", names = '), "utf-8")
    return read_card(folder / "card.toml")


def test_a_labels_file_gives_a_row_for_each_element(tmp_path: Path) -> None:
    card = labelled_card(tmp_path, 'label,synset,ancestors\n"cat, tabby",n1,feline|animal\ndog,n2,\n')
    assert [row.label for row in card.labels] == ["cat, tabby", "dog"]
    assert [row.ancestors for row in card.labels] == [("feline", "animal"), ()]


@pytest.mark.parametrize(
    ("labels", "message"),
    [("name\ncat\n", "no column 'label'"), ("label\ncat\ncat\n", "'cat' occurs twice")],
)
def test_the_error_for_a_wrong_labels_file_names_the_mistake(
    tmp_path: Path, labels: str, message: str
) -> None:
    card = labelled_card(tmp_path, labels)
    with pytest.raises(CardError, match=message):
        _ = card.labels


def test_a_missing_labels_file_is_named(tmp_path: Path) -> None:
    card = labelled_card(tmp_path, "label\n")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(CardError, match=r"labels\.csv"):
        _ = card.labels


def test_two_scores_of_one_name_are_refused(quality: ModelCard) -> None:
    card = altered(quality, output={"names": ("noise", "noise")})
    with pytest.raises(CardError, match="'noise' occurs twice"):
        _ = card.labels


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("quality@1", "379dc704c4feb89f4d7b135af06fa4910310da3e9d0a7e67ebc8fd16cae04b0e"),
        ("tagger@1", "74bba83eb04186f497a5d77ec6b93f5b3c79d1b31370d64245564ee0171f1b71"),
    ],
)
def test_the_digest_of_a_shipped_version_never_changes(name: str, digest: str) -> None:
    assert find_card(parse_version(name)).digest == digest


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "architecture: the engines keras and litert need a builder, or a whole saved model"),
        ('[weights]\nfile = "a.weights.h5"\nsha256 = "{0}"\n', "architecture: the engines keras and litert"),
        ("[input.scaling]\nmultiply = 2\n", "architecture: "),
        ('[weights]\nfile = "a.keras"\nsha256 = "{0}"\n[input.scaling]\nmultiply = inf\n', "input.scaling"),
    ],
)
def test_only_a_saved_model_needs_no_builder(tmp_path: Path, more: str, message: str) -> None:
    text = NULL_CARD.replace('["null"]', '["keras"]').replace("input = { width_px = 8, height_px = 8 }", "")
    sizes = "[input]\nwidth_px = 8\nheight_px = 8\n"
    (tmp_path / "card.toml").write_text(text + sizes + more.replace("{0}", "0" * 64), "utf-8")
    with pytest.raises(CardError, match=message):
        read_card(tmp_path / "card.toml")


def test_a_builder_scales_by_itself(quality: ModelCard) -> None:
    with pytest.raises(ValueError, match="input: scaling and order are for saved models"):
        altered(quality, input={"order": "BGR"})
