"""An index that was deleted is not replaced by an empty one that only fills with the newest results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.interfaces import Rebuildable
from panopticon.settings import Settings
from storage.sqlite.database import path_of
from tests.contracts.examples import TAGGER, image
from tests.house import House, house_of
from tests.workers.indexer.test_indexer import result, run_until_empty, upload, waiting


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house whose search index, in a file of its own, does not exist."""
    monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
    urls = {name: f"sqlite:///{tmp_path / name}.db" for name in ("database", "search")}
    with house_of(Settings.model_validate(urls)) as house:
        lose_index(house)
        yield house


def lose_index(house: House) -> None:
    path_of(house.settings.search_url).unlink()


def turns(house: House, count: int = 20) -> None:
    for _ in range(count):
        house.clock.now_s += 60
        house.indexer.turn()


def test_the_indexer_of_a_new_installation_creates_the_index(house: House) -> None:
    house.submit(upload())
    house.publish(result())
    run_until_empty(house)
    assert house.document("1").parts


def test_the_index_is_created_before_the_first_row_of_the_catalogue(house: House) -> None:
    house.submit(upload())
    house.journal.down = {"search"}
    turns(house)
    assert house.real.store.images.count() == 0
    house.journal.down = set()
    turns(house)
    steps = house.journal.steps
    assert steps.index("search.create") < steps.index("catalogue.put")
    assert house.real.store.images.count() == 1


def test_without_the_index_of_a_store_with_images_the_indexer_parks_and_names_the_command(
    house: House,
) -> None:
    house.real.store.catalogue.put([image("old")])
    house.publish(result("new"))
    turns(house)
    assert house.indexer.parked
    assert house.indexer.parked.component == "search"
    assert "to rebuild it: panopticon search rebuild --all" in house.indexer.parked.reason
    assert not house.real.search.exists()
    assert house.real.broker.results().depth()


def test_an_index_that_is_deleted_under_a_running_indexer_is_not_created_again(house: House) -> None:
    house.submit(upload("old"))
    house.publish(result("old"))
    run_until_empty(house)
    lose_index(house)
    house.publish(result("new"))
    turns(house)
    assert (house.indexer.parked is None, house.real.search.exists()) == (False, False)


def test_the_indexer_resumes_by_itself_once_the_index_is_rebuilt(house: House) -> None:
    house.register(TAGGER)
    house.real.store.catalogue.put([image("old")])
    house.publish(result("new"))
    turns(house)
    search, parked = house.real.search, house.indexer.parked
    assert parked
    assert isinstance(search, Rebuildable)
    search.rebuild()
    turns(house)
    assert not waiting(house)
    assert house.document("new").parts
