"""When a host is down, which image may probe it, and what shows that it is back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.scheduling.breaker import MAX_HOSTS, Breaker

HOST = "https://photos.example"
OTHER = "https://other.example"


@pytest.fixture
def breaker() -> Breaker:
    """Pauses of just 1, 2, 4 and then 8 s."""
    return Breaker(failures=3, max_pause_s=8.0, random=lambda: 1.0)


def fail(breaker: Breaker, images: int, *, host: str = HOST, now_s: float = 0.0) -> None:
    for number in range(images):
        breaker.failed(host, str(number), now_s=now_s)


def test_a_host_without_a_known_failure_is_up(breaker: Breaker) -> None:
    assert breaker.admits(HOST, now_s=0)
    assert not breaker.has_failed(HOST)


def test_after_a_few_failures_it_is_still_asked(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert breaker.has_failed(HOST)
    assert not breaker.is_down(HOST)
    assert breaker.admits(HOST, now_s=0)


def test_many_failures_in_a_row_take_it_down_and_this_is_reported_once(breaker: Breaker) -> None:
    assert [breaker.failed(HOST, str(number), now_s=0) for number in range(5)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert breaker.is_down(HOST)
    assert not breaker.admits(HOST, now_s=0)


def test_one_image_that_fails_again_and_again_takes_no_host_down(breaker: Breaker) -> None:
    for now_s in range(100):
        breaker.failed(HOST, "1", now_s=now_s)
    assert breaker.admits(HOST, now_s=100)


def test_an_answer_in_between_starts_the_count_again(breaker: Breaker) -> None:
    for _ in range(5):
        fail(breaker, 2)
        assert not breaker.answered(HOST)
    assert breaker.admits(HOST, now_s=0)


def test_a_host_that_is_down_takes_no_other_with_it(breaker: Breaker) -> None:
    fail(breaker, 9)
    fail(breaker, 2, host=OTHER)
    assert breaker.admits(OTHER, now_s=0)


def test_after_a_pause_one_probe_is_admitted_and_no_second(breaker: Breaker) -> None:
    fail(breaker, 3)
    assert [breaker.admits(HOST, now_s=now_s) for now_s in (0.9, 1.0, 1.0, 99.0)] == [
        False,
        True,
        False,
        False,
    ]


def test_the_pauses_grow_to_the_longest(breaker: Breaker) -> None:
    fail(breaker, 3)
    now_s, pauses_s = 0.0, []
    for _ in range(6):
        begun_s = now_s
        while not breaker.admits(HOST, now_s=now_s):
            now_s += 0.5
        pauses_s.append(now_s - begun_s)
        breaker.failed(HOST, "1", now_s=now_s)
    assert pauses_s == [1, 2, 4, 8, 8, 8]


def test_failures_of_what_was_asked_before_it_went_down_delay_no_probe(breaker: Breaker) -> None:
    fail(breaker, 3)
    fail(breaker, 20, now_s=0.5)
    assert breaker.admits(HOST, now_s=1.0)


def test_an_answer_brings_it_back_and_this_is_reported_once(breaker: Breaker) -> None:
    fail(breaker, 3)
    breaker.admits(HOST, now_s=1.0)
    assert [breaker.answered(HOST) for _ in range(2)] == [True, False]
    assert breaker.admits(HOST, now_s=1.0)
    assert not breaker.has_failed(HOST)


def test_a_probe_without_a_result_makes_room_for_another(breaker: Breaker) -> None:
    fail(breaker, 3)
    breaker.admits(HOST, now_s=1.0)
    breaker.abandoned(HOST)
    assert breaker.is_down(HOST)
    assert breaker.admits(HOST, now_s=1.0)


def test_hosts_that_are_named_once_are_forgotten_and_those_that_are_down_are_not(breaker: Breaker) -> None:
    fail(breaker, 3)
    for number in range(MAX_HOSTS + 5):
        fail(breaker, 1, host=f"http://{number}.example")
    assert breaker.is_down(HOST)
    assert not breaker.has_failed("http://0.example")
    assert breaker.has_failed(f"http://{MAX_HOSTS}.example")


@given(st.lists(st.booleans(), max_size=100), st.integers(1, 12))
def test_it_is_down_just_while_the_latest_answers_were_all_failures(answers: list[bool], limit: int) -> None:
    breaker = Breaker(failures=limit, max_pause_s=8.0, random=lambda: 0.0)
    in_a_row = 0
    for now_s, good in enumerate(answers):
        in_a_row = 0 if good else in_a_row + 1
        if good:
            breaker.answered(HOST)
        else:
            breaker.failed(HOST, str(now_s), now_s=now_s)
        assert breaker.is_down(HOST) == (in_a_row >= limit)
