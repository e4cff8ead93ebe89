"""The `Queue` of RabbitMQ."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from panopticon.interfaces import DelayedMessage, Delivery, Depth
from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.admin.depths import CombinedCounts
from workers.queues.rabbitmq.client import RabbitClient
from workers.queues.rabbitmq.errors import is_missing
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.transport.prefetch import PrefetchedLane
from workers.queues.rabbitmq.transport.publisher import OutgoingMessage, Route
from workers.queues.rabbitmq.transport.subscription import Arrival, DeliveryTag, Subscription

HEAD_START_S = 0.5
"""The time in which live messages that are ready may arrive before backfill is subscribed to."""

Opener = Callable[[bytes, Mapping[str, Any]], bytes]


class RabbitQueue:
    """A `Queue` whose leases last as long as its connection, however slow their holder is.

    Receiving and settling are for one thread.
    """

    def __init__(
        self,
        client: RabbitClient,
        queues: Mapping[Lane, str],
        *,
        routes: Mapping[Lane, Route] | None = None,
        version: VersionName | None = None,
        opener: Opener = lambda body, _: body,
    ) -> None:
        """Connect to nothing yet.

        `queues`: the name of the queue of each lane; without one for backfill, both lanes share that of
        live. `routes`: where messages are published, unless it is to the queue by name. `opener`: makes the
        body of a delivery out of a message's body and headers.
        """
        self._client = client
        self._queues = queues
        self._routes = routes or {lane: Route("", name) for lane, name in queues.items()}
        self._version = version
        self._opener = opener
        self._arrived = threading.Event()
        self._lanes = {
            lane: PrefetchedLane(
                Subscription(
                    client.incoming, name, arrived=self._arrived, on_cancelled=client.declarer.forget
                )
            )
            for lane, name in queues.items()
        }

    def submit(self, bodies: Sequence[bytes], lane: Lane) -> None:
        if bodies:
            route = self._routes.get(lane, self._routes[Lane.LIVE])
            messages = [OutgoingMessage(route, body) for body in bodies]
            self._client.call_at_length(self._client.publish(messages, version=self._version))

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        """Lease messages; `wait_s` counts from when the broker was last asked to push more."""
        limits = {Lane.LIVE: max_live, Lane.BACKFILL: max_backfill}
        wanted = {lane: most for lane, most in limits.items() if most > 0 and lane in self._lanes}
        deadline_s = time.monotonic() + wait_s
        while True:
            self._arrived.clear()
            needed = {lane: self._lanes[lane].prefetch_for(most) for lane, most in wanted.items()}
            # Until now the broker pushed less than is wanted, or nothing.
            if short := {lane: prefetch for lane, prefetch in needed.items() if prefetch}:
                self._client.call(self._open(short))
                deadline_s = time.monotonic() + wait_s
            deliveries = [
                self._delivery(lane, arrival)
                for lane, most in wanted.items()
                for arrival in self._lanes[lane].take(most)
            ]
            left_s = deadline_s - time.monotonic()
            if deliveries or left_s <= 0:
                return deliveries
            self._arrived.wait(left_s)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Send the acks without waiting: if one is lost, the message is only delivered again."""
        for prefetched, tags in self._by_lane(deliveries):
            self._client.soon(partial(prefetched.subscription.ack, tags))

    def retry(self, delivery: Delivery, *, delay_s: float, spend_attempt: bool = True) -> None:
        """Move the message to the shortest retry queue of at least `delay_s`, or else to the longest one."""
        delays_s = self._client.retry_delays_s
        retry_queue = names.retry_queue_of(next((one for one in delays_s if one >= delay_s), delays_s[-1]))
        message = OutgoingMessage(Route(retry_queue, self._queues[delivery.lane]), delivery.body)
        attempt = delivery.attempt + spend_attempt
        for prefetched, tags in self._by_lane([delivery]):
            self._client.call_at_length(
                self._put_off(prefetched.subscription, tags, message, attempt=attempt)
            )

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Requeue them, and everything prefetched of their lanes; the next `receive` subscribes again."""
        for prefetched, tags in self._by_lane(deliveries):
            self._client.call(prefetched.subscription.requeue(tags))

    def release_prefetched(self) -> None:
        for prefetched in self._lanes.values():
            self._client.call(prefetched.subscription.requeue(set()))

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing: the broker requeues the messages of a lost channel, and only those."""

    def depth(self) -> Mapping[Lane, Depth]:
        """Count the messages: ready ones now, all others as the broker counted them up to 5 s ago.

        The retry queues are shared by all models, and counted in the live lane of each.

        Raises: Unavailable, also without the management plug-in.
        """
        delayed = self._client.management.counts()
        retry_queues = self._client.retry_queues_among(delayed) if self._version else frozenset()
        current = self._client.call(self._client.declarer.counts([*self._queues.values(), *retry_queues]))
        counts = CombinedCounts(delayed, current)
        retrying = sum(counts.waiting(retry_queue) for retry_queue in retry_queues)
        # Messages of a lane that shares the queue of the other are counted there.
        depths = dict.fromkeys(Lane, Depth(ready=0, leased=0, retrying=0))
        for lane, prefetched in self._lanes.items():
            depths[lane] = counts.depth(
                self._queues[lane],
                untaken=prefetched.subscription.untaken,
                retrying=retrying if lane is Lane.LIVE else 0,
            )
        return depths

    def delayed(self, *, limit: int) -> list[DelayedMessage]:  # noqa: ARG002
        """Return nothing: a retry queue has no consumer, and the messages of all models are in it."""
        return []

    async def _open(self, prefetches: Mapping[Lane, int]) -> None:
        try:
            await self._open_lanes(prefetches)
        except Exception as error:
            if not is_missing(error):
                raise
            # Somebody deleted the queue since it was declared.
            self._client.declarer.forget()
            await self._open_lanes(prefetches)

    async def _open_lanes(self, prefetches: Mapping[Lane, int]) -> None:
        await self._client.declarer.ensure(self._version)
        for lane, prefetch in prefetches.items():
            subscription, name = self._lanes[lane].subscription, self._queues[lane]
            waiting = 0
            if lane is Lane.LIVE and Lane.BACKFILL in prefetches:
                waiting = (await self._client.declarer.counts([name]))[name].ready
            await subscription.open(prefetch)
            # Live messages that are ready arrive before those of the backfill.
            if waiting:
                await subscription.await_first(HEAD_START_S)

    def _delivery(self, lane: Lane, arrival: Arrival) -> Delivery:
        # A message with our header comes from a retry queue, so it was delivered before.
        headers = arrival.headers
        return Delivery(
            tag=str(arrival.tag),
            body=self._opener(arrival.body, headers),
            lane=lane,
            attempt=headers.get(names.ATTEMPT, 0),
            redelivered=arrival.redelivered or names.ATTEMPT in headers,
            routing_key=arrival.routing_key,
        )

    def _by_lane(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[PrefetchedLane, set[DeliveryTag]]]:
        """Yield the lanes of these deliveries with their tags, which count as settled from now on."""
        for lane, prefetched in self._lanes.items():
            tags = {DeliveryTag.parse(delivery.tag) for delivery in deliveries if delivery.lane is lane}
            if tags:
                prefetched.forget(tags)
                yield prefetched, tags

    async def _put_off(
        self, subscription: Subscription, tags: set[DeliveryTag], message: OutgoingMessage, *, attempt: int
    ) -> None:
        # A lapsed lease is not retried: the message is ready again, or with another consumer.
        if all(subscription.holds(tag) for tag in tags):
            # It is in the retry queue before it is acked: a crash in between makes a duplicate, not a loss.
            headers = {names.ATTEMPT: attempt}
            await self._client.publish([message], version=self._version, headers=headers)
            subscription.ack(tags)
