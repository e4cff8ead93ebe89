"""The intake policy: how many images may be taken, how long to wait for answers, when an outage is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.worker.intake import (
    BUSY_WAIT_S,
    IDLE_WAIT_S,
    NO_ROOM,
    PARKED_WAIT_S,
    PUT_OFF_PAUSE_S,
    Intake,
    Mode,
    Room,
)

CREDIT = 12
BEST_BATCH = 4
NOW_S = 100.0


@pytest.fixture
def intake() -> Intake:
    return Intake()


def room(intake: Intake, *, unfinished: int = 0, in_flight: int | None = None, **other: Any) -> Room:
    """The room with this many images unfinished, and nothing else in flight unless the test adds more."""
    return intake.room(
        **{
            "credit": CREDIT,
            "best_batch": BEST_BATCH,
            "unfinished": unfinished,
            "in_flight": unfinished if in_flight is None else in_flight,
            "now_s": NOW_S,
            **other,
        }
    )


class TestNormal:
    def test_an_idle_worker_takes_its_whole_credit_and_leaves_a_batch_free_of_backfill(
        self, intake: Intake
    ) -> None:
        assert room(intake) == Room(live=CREDIT, backfill=CREDIT - BEST_BATCH)

    def test_what_is_unfinished_takes_up_room_for_both_lanes(self, intake: Intake) -> None:
        assert room(intake, unfinished=5) == Room(live=7, backfill=3)
        assert room(intake, unfinished=8) == Room(live=4, backfill=0)

    def test_a_busy_worker_takes_nothing_until_a_whole_batch_is_free(self, intake: Intake) -> None:
        assert room(intake, unfinished=9) == NO_ROOM
        assert room(intake, unfinished=CREDIT) == NO_ROOM

    def test_outcomes_that_wait_for_their_settlement_take_up_no_room(self, intake: Intake) -> None:
        assert room(intake, in_flight=60) == Room(live=CREDIT, backfill=CREDIT - BEST_BATCH)

    def test_a_model_that_has_not_greeted_has_no_room(self, intake: Intake) -> None:
        assert room(intake, credit=0, best_batch=0) == NO_ROOM

    @given(st.integers(1, 64), st.integers(0, 300))
    def test_the_credit_is_never_exceeded(self, best_batch: int, unfinished: int) -> None:
        free = room(Intake(), credit=3 * best_batch, best_batch=best_batch, unfinished=unfinished)
        assert 0 <= free.backfill <= free.live
        assert not free.live or unfinished + free.live <= 3 * best_batch

    def test_all_that_waits_is_given_to_the_model(self, intake: Intake) -> None:
        assert intake.next_images(waiting=9, at_model=3) == 9


class TestProbing:
    def test_one_image_of_each_lane_is_taken_and_no_more_before_its_outcome_is_settled(
        self, intake: Intake
    ) -> None:
        intake.probe()
        assert room(intake) == Room(live=1, backfill=1)
        assert room(intake, unfinished=0, in_flight=1) == NO_ROOM

    def test_each_probe_is_twice_the_one_before_up_to_a_batch(self, intake: Intake) -> None:
        intake.probe()
        taken = []
        for _ in range(4):
            taken.append(room(intake).live)
            intake.received(1, best_batch=BEST_BATCH)
        assert taken == [1, 2, 4, 4]

    def test_an_empty_queue_leaves_the_probes_as_few_as_they_were(self, intake: Intake) -> None:
        intake.probe()
        intake.received(0, best_batch=BEST_BATCH)
        assert room(intake).live == 1

    def test_a_model_that_has_not_greeted_gets_no_probe(self, intake: Intake) -> None:
        intake.probe()
        assert room(intake, best_batch=0) == NO_ROOM

    def test_after_it_the_credit_is_taken_again_and_the_next_probe_is_one_image(self, intake: Intake) -> None:
        intake.probe()
        intake.resume()
        assert room(intake).live == CREDIT
        intake.probe()
        assert room(intake).live == 1

    def test_messages_received_in_normal_mode_do_not_raise_the_number_of_probes(self, intake: Intake) -> None:
        intake.received(9, best_batch=BEST_BATCH)
        intake.probe()
        assert room(intake).live == 1


class TestSourceDown:
    def test_one_waiting_image_at_a_time_is_given_to_the_model(self, intake: Intake) -> None:
        intake.source_failed()
        assert intake.next_images(waiting=9, at_model=0) == 1
        assert intake.next_images(waiting=9, at_model=1) == 0
        assert intake.next_images(waiting=0, at_model=0) == 0

    def test_nothing_is_taken_while_anything_is_in_flight(self, intake: Intake) -> None:
        intake.source_failed()
        assert room(intake, in_flight=1) == NO_ROOM
        assert room(intake) == Room(live=1, backfill=1)

    def test_a_source_that_answers_gets_all_that_waits_but_more_is_taken_only_once_work_got_through(
        self, intake: Intake
    ) -> None:
        intake.source_failed()
        intake.source_answered()
        assert intake.mode is Mode.PROBING
        assert intake.next_images(waiting=9, at_model=1) == 9
        assert room(intake, in_flight=9) == NO_ROOM

    def test_an_answer_ends_no_other_probing(self, intake: Intake) -> None:
        intake.probe()
        intake.source_answered()
        assert intake.mode is Mode.PROBING

    def test_an_answer_changes_nothing_in_normal_mode(self, intake: Intake) -> None:
        intake.source_answered()
        assert intake.mode is Mode.NORMAL

    def test_probing_for_another_reason_does_not_hide_that_the_source_is_down(self, intake: Intake) -> None:
        intake.source_failed()
        intake.probe()
        assert intake.mode is Mode.SOURCE_DOWN


class TestEndOfAnOutage:
    def test_it_lasts_until_something_got_through(self, intake: Intake) -> None:
        intake.parked()
        assert not intake.is_over(in_flight=1)
        intake.got_through()
        assert intake.is_over(in_flight=1)

    def test_with_nothing_in_flight_it_is_over_once_every_component_answers(self, intake: Intake) -> None:
        intake.parked()
        assert intake.is_over(in_flight=0)

    def test_what_got_through_before_it_does_not_count(self, intake: Intake) -> None:
        intake.got_through()
        intake.parked()
        assert not intake.is_over(in_flight=1)

    def test_it_is_not_over_while_the_source_is_down(self, intake: Intake) -> None:
        intake.source_failed()
        intake.got_through()
        assert not intake.is_over(in_flight=0)


class TestWaiting:
    @pytest.mark.parametrize(
        ("state", "wait_s"),
        [
            ({"parked": True}, PARKED_WAIT_S),
            ({"parked": True, "ready": False, "at_model": 3}, PARKED_WAIT_S),
            ({"ready": False}, IDLE_WAIT_S),
            ({"at_model": 3}, BUSY_WAIT_S),
            ({}, 0.0),
        ],
    )
    def test_how_long_it_waits_for_answers(
        self, intake: Intake, state: dict[str, Any], wait_s: float
    ) -> None:
        arguments: dict[str, Any] = {"parked": False, "ready": True, "at_model": 0, **state}
        assert intake.wait_s(now_s=NOW_S, **arguments) == wait_s

    def test_during_a_pause_it_takes_nothing_and_does_not_spin(self, intake: Intake) -> None:
        intake.pause(now_s=NOW_S)
        assert room(intake) == NO_ROOM
        assert intake.wait_s(parked=False, ready=True, at_model=0, now_s=NOW_S) == BUSY_WAIT_S
        assert room(intake, now_s=NOW_S + PUT_OFF_PAUSE_S).live == CREDIT

    def test_a_pause_does_not_raise_the_number_of_probes(self, intake: Intake) -> None:
        intake.probe()
        intake.pause(now_s=NOW_S)
        for _ in range(3):
            assert room(intake) == NO_ROOM
        assert room(intake, now_s=NOW_S + PUT_OFF_PAUSE_S).live == 1
