from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import Lane
from panopticon.scheduling.batching import BACKFILL_EVERY, LaneBuffer

Item = tuple[Lane, int]

steps = st.lists(st.sampled_from(Lane) | st.integers(0, 40), max_size=200)
"""A lane: one item arrives in it. A number: this many places are free."""


def run(script: list[Lane | int]) -> tuple[list[Item], list[Item], list[tuple[int, int]]]:
    """Return the items added, the items taken, and how many of each lane waited before each item taken."""
    buffer: LaneBuffer[Item] = LaneBuffer()
    added: list[Item] = []
    taken: list[Item] = []
    waiting: list[tuple[int, int]] = []
    for step in script:
        if isinstance(step, Lane):
            added.append((step, len(added)))
            buffer.add(added[-1], step)
            continue
        live, backfill = buffer.count(Lane.LIVE), buffer.count(Lane.BACKFILL)
        for item in buffer.take(step):
            waiting.append((live, backfill))
            taken.append(item)
            live, backfill = live - (item[0] is Lane.LIVE), backfill - (item[0] is Lane.BACKFILL)
    return added, taken, waiting


def filled(*, live: int, backfill: int) -> LaneBuffer[Item]:
    buffer: LaneBuffer[Item] = LaneBuffer()
    for number in range(backfill):
        buffer.add((Lane.BACKFILL, number), Lane.BACKFILL)
    for number in range(live):
        buffer.add((Lane.LIVE, number), Lane.LIVE)
    return buffer


def lanes(items: list[Item]) -> list[Lane]:
    return [lane for lane, _ in items]


@given(steps)
def test_nothing_is_lost_or_doubled(script: list[Lane | int]) -> None:
    added, taken, _ = run([*script, len(script)])
    assert Counter(taken) == Counter(added)


@given(steps)
def test_each_lane_is_first_in_first_out(script: list[Lane | int]) -> None:
    _, taken, _ = run(script)
    for lane in Lane:
        numbers = [number for taken_lane, number in taken if taken_lane is lane]
        assert all(earlier < later for earlier, later in pairwise(numbers))


@given(steps)
def test_backfill_never_takes_two_places_in_sixteen_while_live_waits(script: list[Lane | int]) -> None:
    _, taken, waiting = run(script)
    places = [
        place
        for place, (item, (live, _)) in enumerate(zip(taken, waiting, strict=True))
        if item[0] is Lane.BACKFILL and live
    ]
    assert all(later - earlier >= BACKFILL_EVERY for earlier, later in pairwise(places))


@given(steps)
def test_backfill_that_waits_never_sees_sixteen_live_items_go_by(script: list[Lane | int]) -> None:
    _, taken, waiting = run(script)
    gone_by = 0
    for item, (_, backfill) in zip(taken, waiting, strict=True):
        gone_by = gone_by + 1 if item[0] is Lane.LIVE and backfill else 0
        assert gone_by < BACKFILL_EVERY


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 120))
def test_a_batch_is_as_large_as_it_can_be(live: int, backfill: int, max_items: int) -> None:
    buffer = filled(live=live, backfill=backfill)
    assert len(buffer.take(max_items)) == min(max_items, live + backfill)
    assert len(buffer) == max(0, live + backfill - max_items)


def test_live_goes_ahead_of_what_waited_before_it() -> None:
    assert lanes(filled(live=2, backfill=3).take(3)) == [Lane.LIVE, Lane.LIVE, Lane.BACKFILL]


def test_of_sixteen_places_the_last_is_backfills() -> None:
    assert lanes(filled(live=20, backfill=20).take(16)) == [Lane.LIVE] * 15 + [Lane.BACKFILL]


def test_the_count_of_places_goes_on_from_batch_to_batch() -> None:
    buffer = filled(live=64, backfill=64)
    taken = [item for _ in range(8) for item in buffer.take(4)]
    assert lanes(taken).index(Lane.BACKFILL) == 15
    assert lanes(taken).count(Lane.BACKFILL) == 2


def test_live_items_that_kept_no_backfill_waiting_are_not_counted() -> None:
    buffer = filled(live=40, backfill=0)
    buffer.take(20)
    buffer.add((Lane.BACKFILL, 0), Lane.BACKFILL)
    assert lanes(buffer.take(16)) == [Lane.LIVE] * 15 + [Lane.BACKFILL]


def test_no_place_gives_no_item() -> None:
    buffer = filled(live=1, backfill=1)
    assert buffer.take(0) == []
    assert len(buffer) == 2
