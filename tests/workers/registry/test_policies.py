"""A version is given its next policy, while others change its record too."""

from __future__ import annotations

import pytest

from panopticon.errors import UsageError
from panopticon.registry import transitions
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from tests.house import AUTHOR, House
from tests.workers.registry.conftest import CardOf
from workers.registry.policies import AppliedPolicy, put_policy

COLOUR = VersionName(model="colour", version=1)
BOB = Author(by="bob@desk", at_ms=1_795_262_400_000)
RED, GREEN = 'renamed = { red = "rot" }\n', 'renamed = { green = "gruen" }\n'


@pytest.fixture
def house(house: House, card_of: CardOf) -> House:
    house.register(card_of())
    return house


def put(house: House, text: str) -> AppliedPolicy:
    return put_policy(text, source="p.toml", version=COLOUR, author=AUTHOR, store=house.store)


def put_by_bob(house: House, text: str) -> None:
    house.change(COLOUR, lambda entry: transitions.put_policy(entry, 1, text, BOB))


def texts(house: House) -> list[str]:
    return [policy.toml for policy in house.version(COLOUR).policies]


def test_each_policy_has_the_next_number(house: House) -> None:
    assert put(house, RED) == AppliedPolicy(number=2, changed=True)
    assert put(house, GREEN) == AppliedPolicy(number=3, changed=True)
    assert put(house, RED) == AppliedPolicy(number=4, changed=True)
    assert texts(house) == ["", RED, GREEN, RED]


def test_an_equal_policy_changes_nothing_however_it_is_written(house: House) -> None:
    put(house, RED)
    assert put(house, "# The same\n[renamed]\n\"red\" = 'rot'\n") == AppliedPolicy(number=2, changed=False)
    assert texts(house) == ["", RED]


def test_a_lost_race_is_reported_with_who_won_it_and_when(house: House) -> None:
    house.journal.before["registry.swap"] = lambda: put_by_bob(house, GREEN)
    with pytest.raises(UsageError) as caught:
        put(house, RED)
    assert str(caught.value) == (
        "colour was changed meanwhile: policy 2 of colour@1, by bob@desk at 2026-11-21 12:00:00 UTC; nothing "
        "was done, look at it and decide again: panopticon models history colour"
    )
    assert texts(house) == ["", GREEN]


def test_an_invalid_policy_is_not_applied(house: House) -> None:
    with pytest.raises(UsageError, match="line 1: unknown tag 'rde'; near it: 'red'"):
        put(house, 'renamed = { rde = "rot" }\n')
    assert texts(house) == [""]


def test_a_policy_that_cannot_be_read_any_more_is_replaced_by_one_that_can(house: House) -> None:
    put_by_bob(house, "of = 'old'\n")
    assert put(house, RED) == AppliedPolicy(number=3, changed=True)
