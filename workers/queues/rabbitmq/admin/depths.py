"""How many messages there are: what the broker counts now, and what it counted lately."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.interfaces import Depth
from workers.queues.rabbitmq.admin.management import Count
from workers.queues.rabbitmq.topology.declarer import QueueCounts

NONE = Count(messages=0, held=0)
EMPTY = QueueCounts(ready=0, consumers=0)


class Survey:
    """Two counts of the same queues: `counts` is some seconds old, and knows what is held."""

    def __init__(self, counts: Mapping[str, Count], queue_counts: Mapping[str, QueueCounts]) -> None:
        self._counts = counts
        self._queue_counts = queue_counts

    def depth(self, queue: str, *, untaken: int, retrying: int) -> Depth:
        """`untaken`: what came to this process and nobody received; the broker takes it for held.

        What left the queue since the older count is taken for held, too: it may be.
        """
        count, ready = self._counts.get(queue, NONE), self._ready(queue)
        held = max(count.held, count.messages - ready)
        return Depth(ready=ready + untaken, leased=max(held - untaken, 0), retrying=retrying)

    def waiting(self, retry_queue: str) -> int:
        """With what is over, and whose home is not there."""
        return max(self._counts.get(retry_queue, NONE).messages, self._ready(retry_queue))

    def _ready(self, queue: str) -> int:
        return self._queue_counts.get(queue, EMPTY).ready
