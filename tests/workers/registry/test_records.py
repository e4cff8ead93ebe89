"""Registered versions are listed together, whatever their state."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.errors import UsageError
from panopticon.registry import transitions
from panopticon.registry.records import VersionState
from tests.house import AUTHOR, House
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, card_of, register_two_versions
from workers.registry.active import active_versions, parts_of
from workers.registry.records import all_versions


def test_every_version_of_every_model_is_listed_by_name_and_version(house: House, tmp_path: Path) -> None:
    register_two_versions(house, tmp_path)
    house.retire(PETS_2)
    registered = all_versions(house.store.registry)
    assert list(registered) == [LIGHT_1, LIGHT_2, PETS_1, PETS_2]
    assert registered[PETS_2] == (house.model("pets"), house.version(PETS_2))
    assert registered[PETS_2][1].state is VersionState.RETIRED


def test_queries_are_answered_from_active_versions_alone(house: House, tmp_path: Path) -> None:
    register_two_versions(house, tmp_path)
    assert parts_of(active_versions(house.store.registry)) == ("light_1", "pets_1")


def test_while_no_version_is_active_the_way_to_one_is_shown(house: House, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="begin with: panopticon index PATH"):
        active_versions(house.store.registry)
    house.register(card_of(PETS_1, "tagging", tmp_path))
    house.change(PETS_1, lambda entry: transitions.deactivate(entry, AUTHOR))
    with pytest.raises(UsageError, match=r"models activate NAME@V \(registered: pets@1\)"):
        active_versions(house.store.registry)
