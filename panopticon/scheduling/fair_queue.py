"""Items of many clients that wait for one model: live first, and within a lane the clients take turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from panopticon.messages import Lane
from panopticon.scheduling.batching import BACKFILL_EVERY

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items in two lanes. Within a lane each client that has waiting items is served in turn.

    So a client with a thousand images delays another one by one image at a time. Used by one thread.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, OrderedDict[str, deque[Item]]] = {lane: OrderedDict() for lane in Lane}
        self._length = 0
        self._live_in_a_row = 0

    def __len__(self) -> int:
        return self._length

    def add(self, item: Item, *, client: str, lane: Lane) -> None:
        """Let an item wait, behind the other ones of the same client."""
        self._lanes[lane].setdefault(client, deque()).append(item)
        self._length += 1

    def add_first(self, item: Item, *, client: str, lane: Lane) -> None:
        """Let an item that was taken wait again, in front of the other ones of its client."""
        clients = self._lanes[lane]
        clients.setdefault(client, deque()).appendleft(item)
        clients.move_to_end(client, last=False)
        self._length += 1

    def remove(self, item: Item, *, client: str, lane: Lane) -> bool:
        """Remove an item that waits, and return whether it did."""
        clients = self._lanes[lane]
        waiting = clients.get(client)
        if waiting is None or item not in waiting:
            return False
        waiting.remove(item)
        self._length -= 1
        if not waiting:
            del clients[client]
        return True

    def take(self) -> Item:
        """Remove and return the item whose turn it is. Raises: IndexError if none waits."""
        live, backfill = self._lanes[Lane.LIVE], self._lanes[Lane.BACKFILL]
        if live and not (backfill and self._live_in_a_row >= BACKFILL_EVERY - 1):
            self._live_in_a_row = self._live_in_a_row + 1 if backfill else 0
            return self._take_of(live)
        self._live_in_a_row = 0
        return self._take_of(backfill)

    def _take_of(self, clients: OrderedDict[str, deque[Item]]) -> Item:
        if not clients:
            raise IndexError("no item waits")
        client, waiting = clients.popitem(last=False)
        item = waiting.popleft()
        self._length -= 1
        if waiting:
            # Its next item comes after one of every other client.
            clients[client] = waiting
        return item
