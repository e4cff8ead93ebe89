"""The messages of one lane that its receiver has, and how many the broker must push for it to get more."""

from __future__ import annotations

from collections.abc import Set

from workers.queues.rabbitmq.transport.subscription import Arrival, DeliveryTag, Subscription


class PrefetchedLane:
    """A subscription as its receiver uses it. Used by the receiving thread only."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._unsettled: set[DeliveryTag] = set()
        self._generation = 0

    def prefetch_for(self, most: int) -> int:
        """Return the prefetch that lets `most` more messages come; 0 if the present one is enough."""
        # A new channel has delivered nothing yet: what was received on the former one does not count.
        if self._generation != self.subscription.generation:
            self._generation = self.subscription.generation
            self._unsettled.clear()
        needed = len(self._unsettled) + most
        return needed if needed > self.subscription.prefetch else 0

    def take(self, most: int) -> list[Arrival]:
        """Take up to `most` messages, oldest first."""
        arrivals = self.subscription.take(most)
        self._unsettled.update(arrival.tag for arrival in arrivals)
        return arrivals

    def forget(self, tags: Set[DeliveryTag]) -> None:
        """Count these messages as settled."""
        self._unsettled -= tags
