"""`panopticon ids`: the list of all image IDs is printed, and completed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from panopticon.chunks import CHUNK
from storage.stores.sqlite.images import SqliteImageList
from tests.contracts.examples import deletion, image, part, result
from tests.house import House
from tests.workers.cli.conftest import Panopticon


def test_every_image_is_printed_on_a_line(panopticon: Panopticon, house: House) -> None:
    names = [f"photo-{number:04}" for number in range(CHUNK + 1)]
    house.store.catalogue.put([image(name) for name in names])
    house.store.catalogue.put([image(names[0], revision=1, event="deleted")])
    assert panopticon("ids", "list").out.splitlines() == names
    assert panopticon("ids", "list", "--after", names[-3]).out.splitlines() == names[-2:]


def test_an_empty_list_prints_nothing(panopticon: Panopticon) -> None:
    ran = panopticon("ids", "list")
    assert (ran.code, ran.out) == (0, "")


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The IDs that are added to the list, which in SQLite has every image already."""
    added: list[str] = []

    def add(_: SqliteImageList, image_ids: Sequence[str]) -> None:
        added.extend(image_ids)

    monkeypatch.setattr(SqliteImageList, "add", add)
    return added


def test_images_of_the_catalogue_are_added_from_a_file(
    panopticon: Panopticon, house: House, added: list[str]
) -> None:
    house.store.catalogue.put([image("a"), image("b"), image("c")])
    ran = panopticon("ids", "add", "--ids", "-", stdin=b"a\nb\nnobody\n")
    assert (ran.code, sorted(added)) == (0, ["a", "b"])
    assert ran.out == (
        "2 images of the catalogue are in the list.\n1 ID not in the catalogue, and not added.\n"
    )


def test_images_of_the_catalogue_are_added_from_search_deleted_ones_included(
    panopticon: Panopticon, house: House, added: list[str]
) -> None:
    house.store.catalogue.put([image("a"), image("b", event="deleted")])
    house.search.apply([result("a", part()), deletion("b")])
    ran = panopticon("ids", "add", "--from-search", "--json")
    assert (sorted(added), ran.json) == (["a", "b"], {"listed": 2, "unknown": 0, "total": 2})


def test_a_rebuild_adds_the_images_of_the_catalogue_too(
    panopticon: Panopticon, house: House, added: list[str]
) -> None:
    house.store.catalogue.put([image("a")])
    panopticon("search", "rebuild", "--ids", "-", stdin=b"a\nnobody\n")
    assert added == ["a"]


@pytest.mark.parametrize("arguments", [(), ("--ids", "-", "--from-search")])
def test_the_source_of_added_ids_is_named_once(panopticon: Panopticon, arguments: tuple[str, ...]) -> None:
    complaint = "give either --ids FILE, with one image ID a line, or --from-search"
    assert panopticon("ids", "add", *arguments).complaint == complaint
