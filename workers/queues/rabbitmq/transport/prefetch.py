"""What one receiver has in hand of one lane."""

from __future__ import annotations

from collections.abc import Set

from workers.queues.rabbitmq.transport.subscription import Arrival, Subscription, Tag


class Holding:
    """A subscription as its receiver sees it. Used by the one thread that receives."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._tags: set[Tag] = set()
        self._generation = 0

    def prefetch_for(self, most: int) -> int:
        """What the broker must push so that `most` more may come; 0 if it pushes as much already."""
        if self._generation != self.subscription.generation:
            self._generation = self.subscription.generation
            self._tags.clear()
        needed = len(self._tags) + most
        return needed if needed > self.subscription.prefetch else 0

    def take(self, most: int) -> list[Arrival]:
        arrivals = self.subscription.take(most)
        self._tags.update(arrival.tag for arrival in arrivals)
        return arrivals

    def let_go(self, tags: Set[Tag]) -> None:
        """They are settled."""
        self._tags -= tags
