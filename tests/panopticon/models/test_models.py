from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.cards.cards import CardError
from panopticon.errors import UsageError
from panopticon.models import all_cards, find_card, parse_version
from panopticon.results.outputs import VersionName
from tests.panopticon.null_card import write_null_card

COLOUR = VersionName(model="colour", version=1)


def test_a_version_is_written_with_an_at_sign() -> None:
    assert parse_version("tagger@12") == VersionName(model="tagger", version=12)


@pytest.mark.parametrize(
    "text", ["", "tagger", "tagger@", "tagger@0", "tagger@01", "Tagger@1", "tagger@1 ", "a@1@2"]
)
def test_the_error_for_anything_else_names_the_way_out(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_version(text)
    assert repr(text) in str(caught.value)
    assert "tagger@1" in str(caught.value)


def test_tagger_and_quality_ship() -> None:
    assert [str(card.version_name) for card in all_cards()] == ["quality@1", "tagger@1"]


def test_a_card_in_an_extra_folder_is_found_next_to_the_shipped_ones(tmp_path: Path) -> None:
    write_null_card(tmp_path / "colour")
    assert find_card(COLOUR, tmp_path).folder == tmp_path / "colour"
    assert find_card(parse_version("tagger@1"), tmp_path).name == "tagger"


def test_a_later_version_has_its_own_folder(tmp_path: Path) -> None:
    write_null_card(tmp_path / "colour")
    later = write_null_card(tmp_path / "colour" / "2")
    later.folder.joinpath("card.toml").write_text(
        later.folder.joinpath("card.toml").read_text("utf-8").replace("version = 1", "version = 2"), "utf-8"
    )
    versions = [str(card.version_name) for card in all_cards(tmp_path)]
    assert versions == ["colour@1", "colour@2", "quality@1", "tagger@1"]


def test_the_error_for_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(CardError, match=r"unknown model version tagger@9; known: quality@1, tagger@1"):
        find_card(parse_version("tagger@9"))


def test_two_cards_for_one_version_are_refused_naming_both_folders(tmp_path: Path) -> None:
    write_null_card(tmp_path / "one")
    write_null_card(tmp_path / "two")
    with pytest.raises(CardError, match=r"two cards for colour@1: in .*one and in .*two"):
        all_cards(tmp_path)


def test_the_error_for_a_missing_folder_of_cards_names_it(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="nowhere"):
        all_cards(tmp_path / "nowhere")
