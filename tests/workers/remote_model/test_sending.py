"""Live images are sent before backfill, and as many at once as the service has room for."""

from __future__ import annotations

import pytest

from panopticon.messages import Lane
from panopticon.scheduling.items import Item
from workers.remote_model.sending import Outbox, Window


def items(count: int, lane: Lane, *, first: int = 1) -> list[Item]:
    return [Item(id=first + number, lane=lane) for number in range(count)]


def taken(outbox: Outbox, count: int, *, now_s: float = 0.0) -> list[Item | None]:
    return [outbox.take(now_s=now_s) for _ in range(count)]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


def test_live_images_go_first_and_backfill_never_starves(outbox: Outbox) -> None:
    backfill, live = items(2, Lane.BACKFILL), items(40, Lane.LIVE, first=10)
    for item in [*backfill, *live]:
        outbox.add(item)
    order = [item.lane for item in taken(outbox, 42) if item]
    assert order[:16] == [Lane.LIVE] * 15 + [Lane.BACKFILL]
    assert len(order) == 42
    assert outbox.take(now_s=0) is None


def test_an_image_that_was_put_back_is_the_next_of_its_lane(outbox: Outbox) -> None:
    first, second = items(2, Lane.LIVE)
    outbox.add(first)
    outbox.add(second)
    assert outbox.take(now_s=0) is first
    outbox.put_back(first)
    assert taken(outbox, 2) == [first, second]


def test_a_pause_of_backfill_leaves_live_images_alone(outbox: Outbox) -> None:
    (backfill,), (live,) = items(1, Lane.BACKFILL), items(1, Lane.LIVE, first=2)
    outbox.add(backfill)
    outbox.add(live)
    outbox.pause(Lane.BACKFILL, until_s=5)
    assert taken(outbox, 2) == [live, None]
    assert outbox.pause_left_s(now_s=1) == 4
    assert outbox.take(now_s=5) is backfill
    assert outbox.pause_left_s(now_s=5) is None


def test_a_pause_of_live_images_is_one_of_both_lanes(outbox: Outbox) -> None:
    for item in [*items(1, Lane.BACKFILL), *items(1, Lane.LIVE, first=2)]:
        outbox.add(item)
    outbox.pause(Lane.LIVE, until_s=5)
    assert taken(outbox, 2, now_s=4.9) == [None, None]
    assert all(taken(outbox, 2, now_s=5))


def test_a_window_is_halved_by_a_refusal_and_grows_by_one_for_each_windowful_of_answers() -> None:
    window = Window()
    window.open(16)
    window.refused(sent_s=0, now_s=1)
    assert window.size == 8
    for _ in range(9):
        window.answered()
    assert window.size == 9


def test_requests_that_were_sent_before_the_last_cut_cut_nothing() -> None:
    window = Window()
    window.open(16)
    for _ in range(9):
        window.refused(sent_s=0.5, now_s=1)
    assert window.size == 8
    window.refused(sent_s=1, now_s=2)
    assert window.size == 4


def test_a_window_has_at_least_one_place_and_never_more_than_it_was_opened_with() -> None:
    window = Window()
    window.open(4)
    for second in range(9):
        window.refused(sent_s=second, now_s=second)
    assert window.size == 1
    for _ in range(99):
        window.answered()
    assert window.size == 4


def test_a_window_that_is_opened_again_stays_as_narrow_as_it_was() -> None:
    window = Window()
    window.open(16)
    window.refused(sent_s=0, now_s=1)
    window.open(32)
    assert window.size == 8
    window.open(2)
    assert window.size == 2
