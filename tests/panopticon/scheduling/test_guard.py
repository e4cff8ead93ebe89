"""The share of dead images at which the guard trips, and its pauses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panopticon.scheduling.guard import LEAST, MAX_DOUBLINGS, WINDOW, DeadGuard


def guard_after(outcomes: list[bool], *, max_share: float = 0.5) -> DeadGuard:
    """`outcomes`: True for each that died."""
    guard = DeadGuard(max_share=max_share)
    for dead in outcomes:
        guard.record(dead=dead)
    return guard


def waits_until_pause(guard: DeadGuard) -> int:
    waits = 1
    while not guard.wait():
        waits += 1
    return waits


def test_nothing_seen_trips_nothing() -> None:
    assert not guard_after([]).tripped


def test_a_worker_without_a_success_fails_twenty_six_images() -> None:
    assert not guard_after([True] * (LEAST // 2)).tripped
    assert guard_after([True] * (LEAST // 2 + 1)).tripped


def test_half_of_the_window_does_not_trip_it() -> None:
    assert not guard_after([False] * (WINDOW // 2) + [True] * (WINDOW // 2)).tripped


def test_one_more_than_half_trips_it() -> None:
    assert guard_after([False] * (WINDOW // 2) + [True] * (WINDOW // 2 + 1)).tripped


def test_what_was_stored_long_ago_does_not_excuse_the_dead_of_today() -> None:
    assert guard_after([False] * 5000 + [True] * (WINDOW // 2 + 1)).tripped


def test_the_dead_of_long_ago_are_forgotten() -> None:
    assert not guard_after([True] * 101 + [False] * WINDOW).tripped


def test_as_many_successes_as_dead_end_it() -> None:
    assert guard_after([True] * 26 + [False] * 25).tripped
    assert not guard_after([True] * 26 + [False] * 26).tripped


def test_a_share_of_one_never_trips() -> None:
    assert not guard_after([True] * 1000, max_share=1).tripped


@given(st.lists(st.booleans(), max_size=500), st.floats(0.01, 1))
def test_it_trips_just_when_the_share_of_the_window_is_passed(outcomes: list[bool], share: float) -> None:
    window = outcomes[-WINDOW:]
    assert guard_after(outcomes, max_share=share).tripped == (sum(window) > share * max(len(window), LEAST))


def test_twice_as_many_images_are_tried_after_each_pause() -> None:
    guard = DeadGuard(max_share=0.5)
    windows = [waits_until_pause(guard) for _ in range(6)]
    assert windows == [200, 400, 800, 1600, 1600, 1600]
    assert windows[-1] == WINDOW << MAX_DOUBLINGS


def test_a_success_ends_the_pauses_and_begins_again_with_few_images() -> None:
    guard = DeadGuard(max_share=0.5)
    waits_until_pause(guard)
    guard.wait()
    failing = [guard.source_failing]
    guard.record(dead=False)
    assert [*failing, guard.source_failing] == [True, False]
    assert waits_until_pause(guard) == WINDOW
