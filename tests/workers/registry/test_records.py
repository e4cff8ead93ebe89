"""Registered versions are listed together, whatever their state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.errors import UsageError
from panopticon.registry import transitions
from panopticon.registry.records import VersionState
from panopticon.registry.transitions import Author
from storage.search.sqlite import SqliteSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, Planted
from workers.queues.sqlite import SqliteBroker
from workers.registry.active import active_versions, parts_of
from workers.registry.records import all_versions


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    with (
        closing(SqliteStore(url)) as store,
        closing(SqliteBroker(url)) as broker,
        closing(SqliteSearchIndex(url)) as search,
    ):
        yield Planted(store=store, broker=broker, search=search, folder=tmp_path)


def test_every_version_of_every_model_is_listed_by_name_and_version(planted: Planted) -> None:
    planted.register_all()
    model = planted.store.registry.read("pets")
    assert model is not None
    retired = transitions.retire(model, 2, Author(by="ann", at_ms=1))
    assert planted.store.registry.swap(model, retired)
    registered = all_versions(planted.store.registry)
    assert list(registered) == [LIGHT_1, LIGHT_2, PETS_1, PETS_2]
    assert registered[PETS_2] == (retired, retired.versions[1])
    assert registered[PETS_2][1].state is VersionState.RETIRED


def test_queries_are_answered_from_active_versions_alone(planted: Planted) -> None:
    planted.register_all()
    assert parts_of(active_versions(planted.store.registry)) == ("light_1", "pets_1")


def test_while_no_version_is_active_the_way_to_one_is_shown(planted: Planted) -> None:
    with pytest.raises(UsageError, match="begin with: panopticon index PATH"):
        active_versions(planted.store.registry)
    planted.register(PETS_1, "tagging")
    model = planted.store.registry.read("pets")
    assert model is not None
    assert planted.store.registry.swap(model, transitions.deactivate(model, Author(by="ann", at_ms=1)))
    with pytest.raises(UsageError, match=r"models activate NAME@V \(registered: pets@1\)"):
        active_versions(planted.store.registry)
