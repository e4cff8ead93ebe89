"""A record that others may change at the same time is changed once, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from panopticon.errors import Unavailable, UsageError
from workers.registry.compare_and_set import MAX_TRIES, swap_with_retries


@dataclass
class Box:
    """A store of one number, to which others add `interruptions`, one before each swap."""

    number: int = 1
    interruptions: list[int] = field(default_factory=list)
    swaps: int = 0

    def read(self) -> int:
        return self.number

    def swap(self, expected: int, new: int) -> bool:
        self.swaps += 1
        if self.interruptions:
            self.number += self.interruptions.pop()
        if self.number != expected:
            return False
        self.number = new
        return True


def test_the_record_is_returned_as_it_was_and_as_it_is() -> None:
    box = Box()
    assert swap_with_retries(box.read, box.swap, lambda number: number * 10, record="the number") == (1, 10)
    assert box.number == 10


def test_a_change_is_made_again_from_what_somebody_else_wrote_meanwhile() -> None:
    box = Box(interruptions=[4, 2])
    assert swap_with_retries(box.read, box.swap, lambda number: number * 10, record="the number") == (7, 70)
    assert (box.number, box.swaps) == (70, 3)


def test_a_record_that_needs_no_change_is_not_written() -> None:
    box = Box()
    assert swap_with_retries(box.read, box.swap, lambda number: number, record="the number") == (1, 1)
    assert box.swaps == 0


def test_a_record_that_never_stops_changing_is_unavailable_and_named() -> None:
    box = Box(interruptions=[1] * 100)
    with pytest.raises(Unavailable, match="the number kept changing"):
        swap_with_retries(box.read, box.swap, lambda number: number * 10, record="the number")
    assert (box.swaps, box.number) == (MAX_TRIES, 1 + MAX_TRIES)


def test_an_error_of_the_change_ends_it_and_writes_nothing() -> None:
    def refuse(number: int) -> int:
        raise UsageError("no")

    box = Box()
    with pytest.raises(UsageError):
        swap_with_retries(box.read, box.swap, refuse, record="the number")
    assert (box.number, box.swaps) == (1, 0)
