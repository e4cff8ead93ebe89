"""`panopticon models new`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from panopticon.cards.cards import read_card
from panopticon.handover.check_card import PLACEHOLDER
from tests.workers.cli.conftest import Panopticon


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that takes floats of 24 × 16 px and has six elements."""
    import keras

    image = keras.Input((16, 24, 3))
    means = keras.layers.GlobalAveragePooling2D()(image)
    six = keras.layers.Concatenate()([means, means])
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Model(image, six).save(path)
    return path


def left(path: Path) -> list[str]:
    """Return the keys, or rows, that are still to be filled in."""
    return [line.split(" =")[0] for line in path.read_text("utf-8").splitlines() if PLACEHOLDER in line]


def test_the_written_card_can_be_read_and_the_next_command_is_printed(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    ran = panopticon("models", "new", "shapes")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "Next: panopticon --set models_dir=models models check shapes@1"
    card = read_card(tmp_path / "models" / "shapes" / "card.toml")
    assert (str(card.version_name), card.task, card.changes) == ("shapes@1", "tagging", "The first version.")
    assert [row.label for row in card.labels] == ["FILL IN 1", "FILL IN 2"]


def test_the_sizes_of_a_keras_file_are_filled_in(
    panopticon: Panopticon, tmp_path: Path, keras_file: Path
) -> None:
    assert panopticon("models", "new", "shapes", "--keras", str(keras_file)).code == 0
    folder = tmp_path / "models" / "shapes"
    card = read_card(folder / "card.toml")
    assert (card.input.width_px, card.input.height_px, len(card.labels)) == (24, 16, 6)
    assert card.weights is not None
    assert (folder / card.weights.file).resolve() == keras_file
    assert card.weights.sha256 == hashlib.sha256(keras_file.read_bytes()).hexdigest()
    assert card.is_saved_model
    assert {"width_px", "sha256", "file"} & set(left(folder / "card.toml")) == {"sha256"}
    assert "scaling" in left(folder / "card.toml")


def test_a_golden_image_is_named_with_its_digest(panopticon: Panopticon, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "blue.png")
    panopticon("models", "new", "shapes", "--golden", "red.png", "--golden", "blue.png")
    card = read_card(tmp_path / "models" / "shapes" / "card.toml")
    assert [golden.image for golden in card.golden] == ["../../red.png", "../../blue.png"]
    assert card.golden[0].sha256 == hashlib.sha256((tmp_path / "red.png").read_bytes()).hexdigest()


def test_a_scoring_model_names_its_elements_in_the_card(panopticon: Panopticon, tmp_path: Path) -> None:
    panopticon("models", "new", "beauty", "--task", "scoring", "--dir", "mine")
    card = read_card(tmp_path / "mine" / "beauty" / "card.toml")
    assert card.output.names == ("FILL IN 1", "FILL IN 2")
    assert card.policy == {}
    assert [path.name for path in card.folder.iterdir()] == ["card.toml"]


def test_every_line_to_fill_in_fails_models_check(panopticon: Panopticon, tmp_path: Path) -> None:
    panopticon("models", "new", "shapes")
    checked = panopticon("--set", "models_dir=models", "models", "check", "shapes@1", "--json")
    lines = {line["what"]: line for line in checked.json["lines"]}
    assert checked.code == 1
    assert lines["filled in"]["detail"] == (
        'models/shapes/card.toml, line 7: summary = "FILL IN"  # what it recognises in a photo, in one line '
        "(and 15 more)"
    )
    for what in ("filled in", "unsuitable", "needs", "licence", "golden examples", "weights"):
        assert not lines[what]["ok"]


def test_the_next_version_has_a_folder_of_its_own_and_must_describe_its_changes(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    assert panopticon("models", "new", "tagger", "--next").code == 0
    card = read_card(tmp_path / "models" / "tagger" / "2" / "card.toml")
    assert (str(card.version_name), card.changes) == ("tagger@2", "FILL IN")


def test_an_existing_card_is_not_overwritten(panopticon: Panopticon, tmp_path: Path) -> None:
    panopticon("models", "new", "shapes")
    card = tmp_path / "models" / "shapes" / "card.toml"
    before = card.read_bytes()
    complaint = panopticon("models", "new", "shapes").complaint
    assert complaint == "shapes@1 exists already; choose another name, or use --next for shapes@2"
    assert card.read_bytes() == before


def test_an_existing_file_is_not_overwritten(panopticon: Panopticon, tmp_path: Path) -> None:
    (tmp_path / "models" / "shapes").mkdir(parents=True)
    labels = tmp_path / "models" / "shapes" / "labels.csv"
    labels.write_text("mine")
    assert "labels.csv exists already" in panopticon("models", "new", "shapes").complaint
    assert [path.name for path in labels.parent.iterdir()] == ["labels.csv"]
    assert labels.read_text() == "mine"


@pytest.mark.parametrize("name", ["Shapes", "1shapes", "my-shapes", "a" * 33, ""])
def test_an_invalid_model_name_is_refused(panopticon: Panopticon, name: str) -> None:
    assert f"{name!r} is not a valid model name" in panopticon("models", "new", name).complaint


def test_a_file_that_is_not_a_model_is_one_line_and_writes_nothing(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    (tmp_path / "model.keras").write_bytes(b"nothing")
    complaint = panopticon("models", "new", "shapes", "--keras", "model.keras").complaint
    assert complaint == "model.keras is not a Keras model, or a damaged one: it is not a zip archive"
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("option", ["--keras", "--golden"])
def test_a_file_that_is_not_there_is_one_line(panopticon: Panopticon, option: str) -> None:
    complaint = panopticon("models", "new", "shapes", option, "absent").complaint
    assert complaint == "absent: No such file or directory"


def test_the_help_of_models_lists_it(panopticon: Panopticon) -> None:
    assert "\n  new " in panopticon("models", "--help").out
