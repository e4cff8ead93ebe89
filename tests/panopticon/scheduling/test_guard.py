"""The share of dead images at which the guard trips."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panopticon.scheduling.guard import WINDOW, DeadGuard


def guard_after(outcomes: list[bool], *, max_share: float = 0.5) -> DeadGuard:
    """`outcomes`: True for each that died."""
    guard = DeadGuard(max_share=max_share)
    for dead in outcomes:
        guard.record(dead=dead)
    return guard


def test_nothing_seen_trips_nothing() -> None:
    assert not guard_after([]).tripped


def test_half_of_the_window_does_not_trip_it() -> None:
    assert not guard_after([True] * (WINDOW // 2)).tripped


def test_one_more_than_half_trips_it() -> None:
    assert guard_after([True] * (WINDOW // 2 + 1)).tripped


def test_what_was_stored_long_ago_does_not_excuse_the_dead_of_today() -> None:
    assert guard_after([False] * 5000 + [True] * (WINDOW // 2 + 1)).tripped


def test_the_dead_of_long_ago_are_forgotten() -> None:
    assert not guard_after([True] * 101 + [False] * WINDOW).tripped


def test_a_reset_empties_the_window() -> None:
    guard = guard_after([True] * WINDOW)
    guard.reset()
    assert not guard.tripped


def test_a_share_of_one_never_trips() -> None:
    assert not guard_after([True] * 1000, max_share=1).tripped


@given(st.lists(st.booleans(), max_size=500), st.floats(0.01, 1))
def test_it_trips_just_when_the_share_of_the_window_is_passed(outcomes: list[bool], share: float) -> None:
    assert guard_after(outcomes, max_share=share).tripped == (sum(outcomes[-WINDOW:]) > share * WINDOW)
