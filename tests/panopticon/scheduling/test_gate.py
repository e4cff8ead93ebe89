from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import Lane
from panopticon.scheduling.gate import Full, Gate, Place


def entered(gate: Gate, lane: Lane = Lane.LIVE, size_bytes: int = 0) -> Place:
    place = gate.enter(lane, size_bytes)
    assert isinstance(place, Place)
    return place


def test_a_gate_of_ten_admits_ten_and_refuses_the_eleventh() -> None:
    gate = Gate(max_places=10, max_bytes=1000)
    assert all(isinstance(gate.enter(Lane.LIVE, 1), Place) for _ in range(10))
    assert gate.enter(Lane.LIVE, 1) is Full.PLACES
    assert (gate.places, gate.bytes) == (10, 10)


def test_a_place_that_is_left_can_be_taken_again_and_only_once() -> None:
    gate = Gate(max_places=1, max_bytes=10)
    place = entered(gate, size_bytes=4)
    place.leave()
    place.leave()
    assert (gate.places, gate.bytes) == (0, 0)
    entered(gate)
    assert gate.enter(Lane.LIVE, 0) is Full.PLACES


def test_backfill_fills_half_of_the_places_and_leaves_the_others_to_live_images() -> None:
    gate = Gate(max_places=5, max_bytes=10)
    assert [gate.enter(Lane.BACKFILL, 0) for _ in range(3)][2] is Full.BACKFILL
    assert [isinstance(gate.enter(Lane.LIVE, 0), Place) for _ in range(4)] == [True, True, True, False]


def test_a_gate_of_one_place_admits_backfill() -> None:
    assert isinstance(Gate(max_places=1, max_bytes=1).enter(Lane.BACKFILL, 0), Place)


def test_bytes_beyond_the_limit_are_refused() -> None:
    gate = Gate(max_places=10, max_bytes=100)
    entered(gate, size_bytes=60)
    assert gate.enter(Lane.LIVE, 41) is Full.BYTES
    entered(gate, size_bytes=40)


def test_the_only_one_is_admitted_whatever_its_size() -> None:
    gate = Gate(max_places=10, max_bytes=100)
    entered(gate, size_bytes=1000)
    assert gate.enter(Lane.LIVE, 1) is Full.BYTES


def test_a_body_of_unknown_length_takes_bytes_as_it_grows_while_there_is_room() -> None:
    gate = Gate(max_places=10, max_bytes=100)
    other = entered(gate, size_bytes=50)
    growing = entered(gate)
    assert growing.resize(50)
    assert not growing.resize(51)
    other.leave()
    assert growing.resize(5000)
    growing.leave()
    assert gate.bytes == 0


@pytest.mark.parametrize("sizes", [(10, 3), (3, 10)], ids=["smaller", "larger"])
def test_a_place_gives_back_the_bytes_that_it_has_at_its_end(sizes: tuple[int, int]) -> None:
    gate = Gate(max_places=1, max_bytes=100)
    place = entered(gate, size_bytes=sizes[0])
    assert place.resize(sizes[1])
    assert gate.bytes == sizes[1]
    place.leave()
    assert gate.bytes == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "resize", "leave"]), st.sampled_from(Lane), st.integers(0, 60))
    )
)
def test_whatever_happens_a_gate_is_within_its_limits_and_empty_at_the_end(
    steps: list[tuple[str, Lane, int]],
) -> None:
    gate = Gate(max_places=4, max_bytes=100)
    places: list[tuple[Place, Lane]] = []
    for step, lane, number in steps:
        if step == "enter":
            place = gate.enter(lane, number)
            if isinstance(place, Place):
                places.append((place, lane))
        elif places and step == "resize":
            places[number % len(places)][0].resize(number)
        elif places:
            places.pop(number % len(places))[0].leave()
        assert gate.places == len(places) <= 4
        assert sum(each is Lane.BACKFILL for _, each in places) <= 2
        assert gate.bytes <= 100
    for place, _ in places:
        place.leave()
    assert (gate.places, gate.bytes) == (0, 0)
