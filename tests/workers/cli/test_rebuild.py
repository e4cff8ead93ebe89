"""`panopticon search rebuild`, next to `panopticon search`."""

from __future__ import annotations

import pytest

from tests.contracts.examples import image, part, result
from tests.house import House
from tests.workers.cli.conftest import Panopticon


@pytest.fixture(autouse=True)
def photos(house: House) -> None:
    house.register()
    house.store.catalogue.put([image("gone", event="deleted"), image("here")])


def test_the_named_images_are_rebuilt_and_counted(panopticon: Panopticon, house: House) -> None:
    ran = panopticon("search", "rebuild", "--ids", "-", stdin=b"gone\nhere\nnobody\n")
    assert (ran.code, ran.out) == (0, "3 images rebuilt.\n1 ID with nothing stored.\n")
    assert house.search.get(["gone"])["gone"].deleted


def test_the_same_as_json(panopticon: Panopticon) -> None:
    assert panopticon("search", "rebuild", "--ids", "-", "--json", stdin=b"gone\nnobody\n").json == {
        "rebuilt": {"images": 2, "changes": 1, "unknown": ["nobody"], "refused": []},
        "former": None,
        "dropped": [],
    }


def test_the_old_index_can_be_dropped_without_a_rebuild(panopticon: Panopticon) -> None:
    ran = panopticon("search", "rebuild", "--drop-old", "--json")
    assert ran.json == {"rebuilt": None, "former": None, "dropped": []}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name the images to rebuild with --ids FILE, or pass --drop-old alone"),
        (("--ids", "-"), "standard input: it holds no image ID; write one a line"),
    ],
)
def test_a_mistake_is_one_line(panopticon: Panopticon, arguments: tuple[str, ...], complaint: str) -> None:
    assert panopticon("search", "rebuild", *arguments).complaint == complaint


def test_a_label_named_rebuild_can_be_searched_for(panopticon: Panopticon, house: House) -> None:
    house.search.apply([result("here", part(rebuild=0.5))])
    for arguments in (("--json", "rebuild"), ("--json", "--", "rebuild")):
        (found,) = panopticon("search", *arguments).json["images"]
        assert found["image_id"] == "here"


def test_the_help_of_search_names_the_command(panopticon: Panopticon) -> None:
    assert "panopticon search rebuild" in panopticon("search", "--help").out
    assert "--drop-old" in panopticon("search", "rebuild", "--help").out
