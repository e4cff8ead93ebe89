"""Pauses grow, stay within their bounds, and begin again after a reset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panopticon.scheduling.backoff import Backoff

fractions = st.floats(0, 1, exclude_max=True)


def longest() -> float:
    return 1.0


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, max_s=3, random=longest)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1, 2, 3, 3]


def test_after_a_reset_the_first_pause_comes_again() -> None:
    backoff = Backoff(first_s=0.5, max_s=3, random=longest)
    backoff.next_s()
    backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_a_first_pause_longer_than_the_longest_is_cut() -> None:
    assert Backoff(first_s=10, max_s=3, random=longest).next_s() == 3


@given(st.lists(fractions, min_size=1, max_size=60))
def test_every_pause_lies_between_half_of_its_step_and_the_whole(jitter: list[float]) -> None:
    pauses = iter(jitter)
    backoff = Backoff(first_s=1, max_s=30, random=lambda: next(pauses))
    for tries in range(len(jitter)):
        step_s = min(2**tries, 30)
        assert step_s / 2 <= backoff.next_s() <= step_s


def test_two_workers_do_not_pause_alike() -> None:
    one = Backoff(first_s=1, max_s=30, random=lambda: 0.1)
    other = Backoff(first_s=1, max_s=30, random=lambda: 0.9)
    assert one.next_s() < other.next_s()


def test_a_year_of_tries_does_not_overflow() -> None:
    backoff = Backoff(first_s=1, max_s=30, random=longest)
    assert {backoff.next_s() for _ in range(2000)} == {1, 2, 4, 8, 16, 30}
