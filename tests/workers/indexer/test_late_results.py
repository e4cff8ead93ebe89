"""Results made by a policy that is no longer the present one are made again by the indexer."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.messages import ResultPublished
from panopticon.results.documents import Part
from panopticon.results.outputs import VersionName
from tests.house import House
from tests.panopticon.null_card import write_null_card

COLOUR = VersionName(model="colour", version=1)
RENAMED = 'renamed = { red = "rot" }\n'


@pytest.fixture
def house(house: House, tmp_path: Path) -> House:
    """A house with `colour@1`, in which the image `a` has an output of it."""
    house.register(write_null_card(tmp_path / "card"))
    house.plant("a", outputs={COLOUR: {"red": 0.5, "green": 0.25}}, document=False)
    return house


def publish(house: House, image_id: str, *, policy_number: int) -> None:
    message = ResultPublished(
        image_id=image_id,
        revision=0,
        model="colour",
        version=1,
        policy_number=policy_number,
        scores={"red": 0.5, "green": 0.25, "blue": 0.0},
    )
    house.publish(message)


def indexed(house: House, image_id: str) -> Part:
    """Let the indexer work once; return the part of the image's document."""
    house.indexer.turn()
    return house.document(image_id).parts[COLOUR.part]


def test_a_late_result_is_made_again_by_the_present_policy(house: House) -> None:
    house.put_policy(COLOUR, RENAMED)
    publish(house, "a", policy_number=1)
    part = indexed(house, "a")
    assert (part.policy_number, dict(part.scores)) == (2, {"rot": 0.5, "green": 0.25, "blue": 0})


def test_a_result_by_a_newer_policy_than_the_indexer_knows_is_applied_as_it_is(house: House) -> None:
    publish(house, "a", policy_number=1)
    house.indexer.turn()
    house.put_policy(COLOUR, RENAMED)
    publish(house, "a", policy_number=2)
    part = indexed(house, "a")
    assert (part.policy_number, set(part.scores)) == (2, {"red", "green", "blue"})


def test_a_late_result_without_a_stored_output_is_applied_as_it_is(house: House) -> None:
    house.put_policy(COLOUR, RENAMED)
    publish(house, "erased", policy_number=1)
    assert indexed(house, "erased").policy_number == 1


def test_a_policy_is_noticed_within_five_seconds(house: House) -> None:
    publish(house, "a", policy_number=1)
    house.indexer.turn()
    house.put_policy(COLOUR, "")
    house.clock.now_s += 5
    publish(house, "a", policy_number=1)
    assert indexed(house, "a").policy_number == 2


def test_an_indexer_suspended_while_the_policy_changed_leaves_no_result_by_the_old_one(house: House) -> None:
    def suspend() -> None:
        house.put_policy(COLOUR, RENAMED)
        house.clock.now_s += 3600

    house.journal.before["search.apply"] = suspend
    publish(house, "a", policy_number=1)
    part = indexed(house, "a")
    assert (part.policy_number, set(part.scores)) == (2, {"rot", "green", "blue"})


def test_a_result_by_a_policy_not_known_yet_is_kept_when_a_late_one_comes_with_it(house: House) -> None:
    house.put_policy(COLOUR, RENAMED)
    publish(house, "a", policy_number=2)
    house.indexer.turn()
    house.put_policy(COLOUR, "")
    publish(house, "a", policy_number=1)
    publish(house, "a", policy_number=3)
    assert indexed(house, "a").policy_number == 3
