"""A `Queue` on RabbitMQ."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from panopticon.interfaces import Delivery, Depth
from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.admin.depths import Survey
from workers.queues.rabbitmq.client import Client
from workers.queues.rabbitmq.errors import is_missing
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.transport.prefetch import Holding
from workers.queues.rabbitmq.transport.publisher import Message, Route
from workers.queues.rabbitmq.transport.subscription import Arrival, Subscription, Tag

HEAD_START_S = 0.5
"""For live messages that are known to wait, before backfill is asked for the first time."""

Opener = Callable[[bytes, Mapping[str, Any]], bytes]


class RabbitQueue:
    """Its leases last as long as its connection: none lapses while its holder lives, however slow it is.

    Receiving and settling are for one thread.
    """

    def __init__(
        self,
        client: Client,
        queues: Mapping[Lane, str],
        *,
        routes: Mapping[Lane, Route] | None = None,
        version: VersionName | None = None,
        opener: Opener = lambda body, _: body,
    ) -> None:
        """`queues`: backfill without one of its own shares that of live. `routes`: how messages get there,
        if not by name. `opener`: what is handed out, of a body and its headers."""
        self._client = client
        self._queues = queues
        self._routes = routes or {lane: Route("", name) for lane, name in queues.items()}
        self._version = version
        self._opener = opener
        self._arrived = threading.Event()
        self._lanes = {lane: Holding(self._subscription(name)) for lane, name in queues.items()}

    def submit(self, bodies: Sequence[bytes], lane: Lane) -> None:
        if bodies:
            route = self._routes.get(lane, self._routes[Lane.LIVE])
            messages = [Message(route, body) for body in bodies]
            self._client.call_at_length(self._client.publish(messages, version=self._version))

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        """`wait_s` counts from when the broker was last asked to push more."""
        limits = {Lane.LIVE: max_live, Lane.BACKFILL: max_backfill}
        wanted = {lane: most for lane, most in limits.items() if most > 0 and lane in self._lanes}
        deadline_s = time.monotonic() + wait_s
        while True:
            self._arrived.clear()
            if self._subscribe(wanted):
                deadline_s = time.monotonic() + wait_s
            deliveries = [delivery for lane, most in wanted.items() for delivery in self._take(lane, most)]
            left_s = deadline_s - time.monotonic()
            if deliveries or left_s <= 0:
                return deliveries
            self._arrived.wait(left_s)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Sent, and not waited for: where it gets lost, the message comes again and is found in the store."""
        for holding, tags in self._by_lane(deliveries):
            self._client.soon(partial(holding.subscription.ack, tags))

    def retry(self, delivery: Delivery, *, delay_s: float, spend_attempt: bool = True) -> None:
        """in the shortest retry queue that is no shorter than `delay_s`, or on the longest."""
        for holding, tags in self._by_lane([delivery]):
            self._client.call_at_length(
                self._put_off(
                    holding.subscription,
                    tags,
                    Message(Route(self._retry_queue(delay_s), self._queues[delivery.lane]), delivery.body),
                    attempt=delivery.attempt + spend_attempt,
                )
            )

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """With what came and nobody received; the next `receive` subscribes anew."""
        for holding, tags in self._by_lane(deliveries):
            self._client.call(holding.subscription.requeue(tags))

    def release_prefetched(self) -> None:
        for holding in self._lanes.values():
            self._client.call(holding.subscription.requeue(set()))

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing to do: the broker takes back what a lost channel held, and only that."""

    def depth(self) -> Mapping[Lane, Depth]:
        """Ready messages are counted now, all others by the broker each 5 s. Every model's retry queues are
        shown with the live lane. Raises: Unavailable without the management plug-in, too."""
        counts = self._client.management.counts()
        retry_delays = self._client.retry_queues_among(counts) if self._version else frozenset()
        queue_counts = self._client.call(
            self._client.declarer.counts([*self._queues.values(), *retry_delays])
        )
        survey = Survey(counts, queue_counts)
        retrying = sum(survey.waiting(retry_queue) for retry_queue in retry_delays)
        return {lane: self._depth(survey, lane, retrying) for lane in Lane}

    def _depth(self, survey: Survey, lane: Lane, retrying: int) -> Depth:
        if lane not in self._lanes:
            return Depth(ready=0, leased=0, retrying=0)
        untaken = self._lanes[lane].subscription.untaken
        of_lane = retrying if lane is Lane.LIVE else 0
        return survey.depth(self._queues[lane], untaken=untaken, retrying=of_lane)

    def _subscribe(self, wanted: Mapping[Lane, int]) -> bool:
        """Whether the broker had to be asked: it pushes less than is wanted."""
        needed = {lane: self._lanes[lane].prefetch_for(most) for lane, most in wanted.items()}
        short = {lane: prefetch for lane, prefetch in needed.items() if prefetch}
        if short:
            self._client.call(self._open(short))
        return bool(short)

    async def _open(self, prefetches: Mapping[Lane, int]) -> None:
        try:
            await self._open_lanes(prefetches)
        except Exception as error:
            if not is_missing(error):
                raise
            self._client.declarer.forget()
            await self._open_lanes(prefetches)

    async def _open_lanes(self, prefetches: Mapping[Lane, int]) -> None:
        await self._client.declarer.ensure(self._version)
        for lane, prefetch in prefetches.items():
            subscription = self._lanes[lane].subscription
            if lane is Lane.LIVE and Lane.BACKFILL in prefetches:
                await self._open_first(subscription, prefetch)
            else:
                await subscription.open(prefetch)

    async def _open_first(self, live: Subscription, prefetch: int) -> None:
        name = self._queues[Lane.LIVE]
        queue_counts = await self._client.declarer.counts([name])
        await live.open(prefetch)
        if queue_counts[name].ready:
            await live.await_first(HEAD_START_S)

    def _take(self, lane: Lane, most: int) -> Iterator[Delivery]:
        return (self._delivery(lane, arrival) for arrival in self._lanes[lane].take(most))

    def _delivery(self, lane: Lane, arrival: Arrival) -> Delivery:
        """What has our header was in a retry queue, and before that in somebody's hands."""
        headers = arrival.headers
        return Delivery(
            tag=str(arrival.tag),
            body=self._opener(arrival.body, headers),
            lane=lane,
            attempt=headers.get(names.ATTEMPT, 0),
            redelivered=arrival.redelivered or names.ATTEMPT in headers,
        )

    def _by_lane(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Holding, set[Tag]]]:
        """Out of hand by now."""
        for lane, holding in self._lanes.items():
            tags = {Tag.parse(delivery.tag) for delivery in deliveries if delivery.lane is lane}
            if tags:
                holding.let_go(tags)
                yield holding, tags

    async def _put_off(
        self, subscription: Subscription, tags: set[Tag], message: Message, *, attempt: int
    ) -> None:
        """Put in the retry queue first: a crash in between makes a duplicate, never a loss."""
        if all(subscription.holds(tag) for tag in tags):
            headers = {names.ATTEMPT: attempt}
            await self._client.publish([message], version=self._version, headers=headers)
            subscription.ack(tags)

    def _retry_queue(self, delay_s: float) -> str:
        delays_s = self._client.retry_delays_s
        return names.retry_queue_of(next((one_s for one_s in delays_s if one_s >= delay_s), delays_s[-1]))

    def _subscription(self, queue: str) -> Subscription:
        client = self._client
        return Subscription(
            client.incoming, queue, arrived=self._arrived, on_cancelled=client.declarer.forget
        )
