"""Counts of messages, combined from what the broker counts now and what it counted some seconds ago."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.interfaces import Depth
from workers.queues.rabbitmq.admin.management import DelayedCount
from workers.queues.rabbitmq.topology.declarer import CurrentCount

NO_DELAYED_COUNT = DelayedCount(messages=0, leased=0)
NO_CURRENT_COUNT = CurrentCount(ready=0, consumers=0)


class CombinedCounts:
    """Two counts of the same queues: `delayed` is some seconds old, but knows about leased messages."""

    def __init__(self, delayed: Mapping[str, DelayedCount], current: Mapping[str, CurrentCount]) -> None:
        self._delayed = delayed
        self._current = current

    def depth(self, queue: str, *, untaken: int, retrying: int) -> Depth:
        """Return the depth of a queue.

        `untaken`: messages that were pushed to this process and that nobody has received; the broker counts
        them as leased.
        """
        delayed, ready = self._delayed.get(queue, NO_DELAYED_COUNT), self._ready(queue)
        # A message that left the queue since the delayed count may be leased, and is counted as such.
        leased = max(delayed.leased, delayed.messages - ready)
        return Depth(ready=ready + untaken, leased=max(leased - untaken, 0), retrying=retrying)

    def waiting(self, retry_queue: str) -> int:
        """Return the messages of a retry queue, also those whose wait is over and whose queue is gone."""
        return max(self._delayed.get(retry_queue, NO_DELAYED_COUNT).messages, self._ready(retry_queue))

    def _ready(self, queue: str) -> int:
        return self._current.get(queue, NO_CURRENT_COUNT).ready
