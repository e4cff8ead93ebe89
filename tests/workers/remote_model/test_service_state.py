"""The service is down when it says so, cannot be reached, or lets nothing through for a while."""

from __future__ import annotations

import pytest

from panopticon.scheduling.items import Hello
from workers.remote_model.replies import Down, Loading, Up
from workers.remote_model.service_state import FAILING_S, QUIET_S, ServiceState

HELLO = Hello(digest="d", engine="null", libraries="numpy 2", best_batch=2, dim=3)
UP = Up(hello=HELLO, replicas=1, gate=64)


@pytest.fixture
def state() -> ServiceState:
    return ServiceState("http://host", max_pause_s=8.0, random=lambda: 1.0)


def test_it_is_asked_at_once_and_then_whenever_nothing_was_heard_for_a_while(state: ServiceState) -> None:
    assert state.ask_in_s(now_s=100) == 0
    state.asked()
    assert state.ask_in_s(now_s=100) is None
    state.described(UP, now_s=101)
    assert (state.hello, state.down) == (HELLO, None)
    assert state.ask_in_s(now_s=101) == QUIET_S
    state.got_through(now_s=105)
    assert state.ask_in_s(now_s=105) == QUIET_S


def test_a_model_that_loads_is_neither_up_nor_down_and_asked_for_soon(state: ServiceState) -> None:
    state.described(Loading(), now_s=0)
    assert (state.hello, state.down) == (None, None)
    assert 0 < (state.ask_in_s(now_s=0) or 0) < 1


def test_a_service_that_is_down_says_why_and_is_asked_after_growing_pauses(state: ServiceState) -> None:
    pauses = []
    for second in range(0, 60, 10):
        state.described(Down(reason="answers 503"), now_s=second)
        pauses.append(state.ask_in_s(now_s=second))
    assert pauses == [0.5, 1, 2, 4, 8, 8]
    assert str(state.down) == "model unavailable: http://host answers 503"
    state.described(UP, now_s=99)
    assert state.down is None


def test_many_requests_that_report_one_outage_lengthen_one_pause(state: ServiceState) -> None:
    state.described(UP, now_s=0)
    for _ in range(9):
        state.failed_for_good("cannot be reached", now_s=1)
    assert state.ask_in_s(now_s=1) == 0.5
    assert state.hello is None


def test_requests_without_an_answer_are_an_outage_only_if_nothing_else_gets_through(
    state: ServiceState,
) -> None:
    state.described(UP, now_s=0)
    state.unanswered("is silent", now_s=1)
    state.got_through(now_s=2)
    state.unanswered("is silent", now_s=2 + FAILING_S)
    assert state.down is None
    state.unanswered("is silent", now_s=2 + 2 * FAILING_S)
    assert state.down is not None


def test_a_service_that_flaps_is_asked_ever_less_often_until_an_image_gets_through(
    state: ServiceState,
) -> None:
    for second in (0, 10, 20):
        state.described(Down(reason="answers 503"), now_s=second)
        state.described(UP, now_s=second + 5)
    state.failed_for_good("answers 503", now_s=30)
    assert state.ask_in_s(now_s=30) == 4
    state.described(UP, now_s=40)
    state.got_through(now_s=41)
    state.failed_for_good("answers 503", now_s=42)
    assert state.ask_in_s(now_s=42) == 0.5
