"""Items that wait in two lanes, taken in batches: what has gathered once the model is free, live first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from panopticon.messages import Lane

BACKFILL_EVERY = 16
"""While both lanes wait, one place in this many goes to backfill, so that it never starves."""

Item = TypeVar("Item")


class LaneBuffer(Generic[Item]):
    """Items waiting in two lanes: first in, first out within each."""

    def __init__(self) -> None:
        self._waiting: dict[Lane, deque[Item]] = {lane: deque() for lane in Lane}
        self._live_in_a_row = 0

    def __len__(self) -> int:
        return sum(len(items) for items in self._waiting.values())

    def count(self, lane: Lane) -> int:
        return len(self._waiting[lane])

    def add(self, item: Item, lane: Lane) -> None:
        self._waiting[lane].append(item)

    def remove(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Remove and return the items for which `unwanted` is true."""
        removed = [item for items in self._waiting.values() for item in items if unwanted(item)]
        if removed:
            for lane, items in self._waiting.items():
                self._waiting[lane] = deque(item for item in items if not unwanted(item))
        return removed

    def take(self, max_items: int) -> list[Item]:
        """Remove and return up to `max_items`, in the order in which they should run."""
        live, backfill = self._waiting[Lane.LIVE], self._waiting[Lane.BACKFILL]
        taken: list[Item] = []
        for _ in range(min(max_items, len(self))):
            if live and not (backfill and self._live_in_a_row >= BACKFILL_EVERY - 1):
                self._live_in_a_row = self._live_in_a_row + 1 if backfill else 0
                taken.append(live.popleft())
            else:
                self._live_in_a_row = 0
                taken.append(backfill.popleft())
        return taken
