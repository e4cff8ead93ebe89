"""`panopticon search rebuild`, next to `panopticon search`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from panopticon.interfaces import Applied
from panopticon.results.documents import Change
from storage.search.sqlite import SqliteRebuild
from tests.contracts.examples import TAGGER, image, part, result
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


def test_every_image_of_the_catalogue_is_rebuilt(panopticon: Panopticon, house: House) -> None:
    house.plant("stored", outputs={TAGGER: {"tabby": 0.75}}, document=False)
    ran = panopticon("search", "rebuild", "--all", "--json")
    assert (ran.code, ran.json["rebuilt"]["images"], ran.json["rebuilt"]["unknown"]) == (0, 3, [])
    assert house.search.get(["gone"])["gone"].deleted
    assert set(house.search.get(["stored"])["stored"].parts) == {"tagger_1"}


def test_an_interrupted_rebuild_of_every_image_prints_where_it_can_go_on(
    panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.store.catalogue.put([image(f"x{number:04}", event="deleted") for number in range(600)])
    real = SqliteRebuild.apply
    applied: list[str] = []

    def apply(self: SqliteRebuild, changes: Sequence[Change]) -> list[Applied]:
        if applied:
            raise KeyboardInterrupt
        applied.extend(change.image_id for change in changes)
        return real(self, changes)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteRebuild, "apply", apply)
        ran = panopticon("search", "rebuild", "--all")
    assert ran.code == 130
    assert f"500 of 602 images done; to go on: the same command with --after {applied[-1]}" in ran.err
    rest = panopticon("search", "rebuild", "--all", "--after", applied[-1], "--json")
    assert rest.json["rebuilt"]["images"] == 102


def test_the_old_index_can_be_dropped_without_a_rebuild(panopticon: Panopticon) -> None:
    ran = panopticon("search", "rebuild", "--drop-old", "--json")
    assert ran.json == {"rebuilt": None, "former": None, "dropped": []}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name the images to rebuild with --all or --ids FILE, or pass --drop-old alone"),
        (("--all", "--ids", "-"), "give either --all or --ids FILE"),
        (("--after", "x"), "--after is a place in the list of all images; give it with --all"),
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
