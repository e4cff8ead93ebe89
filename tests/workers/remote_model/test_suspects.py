"""Only an image that stays without an answer alone, while the control is answered, fails an attempt."""

from __future__ import annotations

import pytest

from panopticon.errors import Transient
from panopticon.messages import Lane
from panopticon.scheduling.items import Item, NotRun
from workers.remote_model.suspects import CONTROL_ID, Suspects

BAD = Item(id=1, lane=Lane.BACKFILL, uri="file:///bad")
OTHER = Item(id=2, lane=Lane.LIVE, uri="file:///other")


@pytest.fixture
def suspects() -> Suspects:
    return Suspects(lambda: b"control")


def isolate(suspects: Suspects, item: Item = BAD) -> None:
    assert suspects.unanswered(item, "late") is item
    assert suspects.unanswered(item, "late") is None


def take_control(suspects: Suspects) -> Item:
    item = suspects.take()
    assert (item.id, item.encoded) == (CONTROL_ID, b"control")
    return item


def test_an_image_that_was_not_answered_once_waits_among_the_others(suspects: Suspects) -> None:
    assert suspects.unanswered(BAD, "late") is BAD
    assert suspects.next_lane is None


def test_an_image_that_was_not_answered_twice_is_sent_alone_after_an_answered_control(
    suspects: Suspects,
) -> None:
    isolate(suspects)
    assert suspects.next_lane is Lane.BACKFILL
    control = take_control(suspects)
    assert control.lane is Lane.BACKFILL
    suspects.answered(control)
    assert suspects.take() is BAD


def test_an_image_that_is_not_answered_alone_twice_is_a_failed_attempt(suspects: Suspects) -> None:
    isolate(suspects)
    suspects.answered(take_control(suspects))
    assert suspects.unanswered(suspects.take(), "late") is None
    suspects.answered(take_control(suspects))
    failure = suspects.unanswered(suspects.take(), "late")
    assert isinstance(failure, NotRun)
    assert failure.item is BAD
    assert isinstance(failure.error, Transient)
    assert failure.error.reason == "unanswered"
    assert suspects.next_lane is None


def test_while_the_control_is_not_answered_no_image_is_sent_alone(suspects: Suspects) -> None:
    isolate(suspects)
    for _ in range(9):
        assert suspects.unanswered(take_control(suspects), "late") is None


def test_after_a_suspect_that_is_answered_the_next_one_needs_no_control(suspects: Suspects) -> None:
    isolate(suspects)
    isolate(suspects, OTHER)
    suspects.answered(take_control(suspects))
    suspects.answered(suspects.take())
    assert suspects.take() is OTHER
    suspects.answered(OTHER)
    assert suspects.clear() == []


def test_a_refusal_for_lack_of_room_is_no_evidence(suspects: Suspects) -> None:
    assert suspects.not_taken(BAD) is BAD
    isolate(suspects)
    suspects.answered(take_control(suspects))
    assert suspects.not_taken(suspects.take()) is None
    control = take_control(suspects)
    assert suspects.not_taken(control) is None
    assert take_control(suspects)


def test_several_suspects_take_turns(suspects: Suspects) -> None:
    isolate(suspects)
    isolate(suspects, OTHER)
    suspects.answered(take_control(suspects))
    assert suspects.unanswered(suspects.take(), "late") is None
    suspects.answered(take_control(suspects))
    assert suspects.take() is OTHER


def test_clearing_returns_what_is_kept_and_forgets_the_evidence(suspects: Suspects) -> None:
    isolate(suspects)
    assert suspects.clear() == [BAD]
    assert suspects.next_lane is None
    assert suspects.unanswered(BAD, "late") is BAD
