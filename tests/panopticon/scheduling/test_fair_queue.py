from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import Lane
from panopticon.scheduling.batching import BACKFILL_EVERY
from panopticon.scheduling.fair_queue import FairQueue

LIVE, BACKFILL = Lane.LIVE, Lane.BACKFILL


def filled(*items: tuple[str, str], lane: Lane = LIVE) -> FairQueue[str]:
    """A queue of items, each given with its client."""
    queue: FairQueue[str] = FairQueue()
    for client, item in items:
        queue.add(item, client=client, lane=lane)
    return queue


def drained(queue: FairQueue[str]) -> list[str]:
    return [queue.take() for _ in range(len(queue))]


def test_one_client_is_served_in_the_order_of_its_items() -> None:
    assert drained(filled(("ann", "1"), ("ann", "2"), ("ann", "3"))) == ["1", "2", "3"]


def test_clients_take_turns_however_much_one_of_them_has_waiting() -> None:
    queue = filled(*[("ann", f"a{n}") for n in range(4)], ("bob", "b0"), ("cid", "c0"), ("bob", "b1"))
    assert drained(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_live_items_go_before_backfill() -> None:
    queue = filled(("ann", "old"), lane=BACKFILL)
    queue.add("new", client="ann", lane=LIVE)
    assert drained(queue) == ["new", "old"]


def test_one_place_in_sixteen_goes_to_backfill_while_both_lanes_wait() -> None:
    queue = filled(*[("ann", "live")] * 40)
    for _ in range(3):
        queue.add("old", client="bob", lane=BACKFILL)
    taken = drained(queue)
    assert [index for index, item in enumerate(taken) if item == "old"][:2] == [
        BACKFILL_EVERY - 1,
        2 * BACKFILL_EVERY - 1,
    ]


def test_an_item_that_is_taken_back_is_the_next_one() -> None:
    queue = filled(("ann", "1"), ("bob", "2"))
    first = queue.take()
    queue.add_first(first, client="ann", lane=LIVE)
    assert drained(queue) == ["1", "2"]


def test_an_item_can_be_removed_while_it_waits_and_not_afterwards() -> None:
    queue = filled(("ann", "1"), ("ann", "2"))
    assert queue.remove("1", client="ann", lane=LIVE)
    assert not queue.remove("1", client="ann", lane=LIVE)
    assert not queue.remove("2", client="bob", lane=LIVE)
    assert drained(queue) == ["2"]
    assert not queue.remove("2", client="ann", lane=LIVE)


def test_an_empty_queue_has_nothing_to_take() -> None:
    with pytest.raises(IndexError):
        FairQueue[str]().take()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Lane)), max_size=60))
def test_every_item_is_taken_once_and_each_client_keeps_its_order(added: list[tuple[str, Lane]]) -> None:
    queue: FairQueue[tuple[str, Lane, int]] = FairQueue()
    for number, (client, lane) in enumerate(added):
        queue.add((client, lane, number), client=client, lane=lane)
    taken = [queue.take() for _ in range(len(queue))]
    assert Counter(taken) == Counter((client, lane, number) for number, (client, lane) in enumerate(added))
    for client, lane in set(added):
        numbers = [number for each, of, number in taken if (each, of) == (client, lane)]
        assert numbers == sorted(numbers)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60))
def test_between_two_items_of_a_waiting_client_no_other_client_is_served_twice(clients: list[str]) -> None:
    queue = filled(*[(client, client) for client in clients])
    taken = drained(queue)
    for client in set(clients):
        places = [index for index, each in enumerate(taken) if each == client]
        for before, after in pairwise(places):
            between = Counter(taken[before + 1 : after])
            assert all(count == 1 for count in between.values())
