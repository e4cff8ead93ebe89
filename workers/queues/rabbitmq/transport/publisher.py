"""Confirmed publishing: many messages under way at once, and not one forgotten."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import pika

from workers.queues.rabbitmq.errors import down, is_missing
from workers.queues.rabbitmq.transport.buffered_connection import CoalescingConnection
from workers.queues.rabbitmq.transport.channels import Channel, open_channel
from workers.queues.rabbitmq.transport.connection import Link

PERSISTENT = 2


class Route(NamedTuple):
    """Where a message goes; an empty exchange takes the name of a queue as its key."""

    exchange: str
    key: str


class Message(NamedTuple):
    """One message on its way out."""

    route: Route
    body: bytes


class Publication:
    """Messages that succeed or fail together."""

    def __init__(self, messages: Sequence[Message], headers: Mapping[str, int] | None) -> None:
        self.messages = messages
        self.properties = pika.BasicProperties(delivery_mode=PERSISTENT, headers=headers)
        self.sent = 0
        self.confirmed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def goes(self, route: Route) -> bool:
        return any(message.route == route for message in self.messages)

    def confirm(self) -> None:
        self.confirmed += 1
        if self.confirmed == len(self.messages) and not self.done.done():
            self.done.set_result(None)

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(down(reason))


class Publisher:
    """Used by the thread of its event loop only."""

    def __init__(self, link: Link, *, window: int, stall_s: float, on_missing: Callable[[], None]) -> None:
        """`window`: messages sent and not yet confirmed. `on_missing`: a queue or an exchange is."""
        self._link = link
        self._window = window
        self._stall_s = stall_s
        self._on_missing = on_missing
        self._opening = asyncio.Lock()
        self._channel: Channel | None = None
        self._watched: CoalescingConnection | None = None
        self._blocked = ""
        self._tag = 0
        self._under_way: dict[int, Publication] = {}
        self._waiting: deque[Publication] = deque()

    async def publish(self, messages: Sequence[Message], headers: Mapping[str, int] | None = None) -> None:
        """Returns when a queue has taken each. Raises: Unavailable; any of them may have been taken then."""
        async with asyncio.timeout(self._stall_s):
            await self._open()
        if self._blocked:
            raise down(self._blocked)
        publication = Publication(messages, headers)
        self._waiting.append(publication)
        self._send()
        try:
            await self._confirmed(publication)
        finally:
            if publication in self._waiting:
                self._waiting.remove(publication)

    async def _confirmed(self, publication: Publication) -> None:
        """Waits as long as there is progress."""
        confirmed = -1
        while publication.confirmed > confirmed:
            confirmed = publication.confirmed
            await asyncio.wait([publication.done], timeout=self._stall_s)
            if publication.done.done():
                return publication.done.result()
        publication.done.cancel()
        raise down(f"no message was confirmed for {self._stall_s:g} s")

    async def _open(self) -> None:
        async with self._opening:
            connection = await self._link.opened()
            if connection is not self._watched:
                self._watch(connection)
            if self._channel is None:
                self._channel = await self._opened(connection)

    async def _opened(self, connection: CoalescingConnection) -> Channel:
        channel = await open_channel(connection)
        channel.raw.add_on_close_callback(self._on_close)
        channel.raw.add_on_return_callback(self._on_return)
        await channel.ask(channel.raw.confirm_delivery, ack_nack_callback=self._on_answer)
        self._tag = 0
        return channel

    def _watch(self, connection: CoalescingConnection) -> None:
        """For an alarm: the broker reads nothing more of what publishes."""
        self._watched = connection
        self._blocked = ""
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)

    def _send(self) -> None:
        while self._waiting and self._channel is not None and len(self._under_way) < self._window:
            publication = self._waiting[0]
            room = self._window - len(self._under_way)
            self._send_some(self._channel, publication, room)
            if publication.sent == len(publication.messages):
                self._waiting.popleft()

    def _send_some(self, channel: Channel, publication: Publication, most: int) -> None:
        publish = partial(channel.raw.basic_publish, properties=publication.properties, mandatory=True)
        for route, body in publication.messages[publication.sent : publication.sent + most]:
            publish(route.exchange, route.key, body)
            self._tag += 1
            publication.sent += 1
            self._under_way[self._tag] = publication

    def _on_answer(self, frame: Any) -> None:
        """A confirmation, or a refusal, of one message or of all up to it."""
        answer = frame.method
        tags = [answer.delivery_tag]
        if answer.multiple:
            tags = [*takewhile(lambda tag: tag <= answer.delivery_tag, self._under_way)]
        for tag in tags:
            publication = self._under_way.pop(tag)
            if isinstance(answer, pika.spec.Basic.Ack):
                publication.confirm()
            else:
                publication.fail("the broker refused a message: its queue is full, or fails")
        self._send()

    def _on_return(self, _raw: Any, method: Any, _properties: Any, _body: bytes) -> None:
        """Which message it was is not said, and it is confirmed all the same: so all of its route fail."""
        route = Route(method.exchange, method.routing_key)
        for publication in {*self._under_way.values()}:
            if not publication.done.done() and publication.goes(route):
                publication.fail(f"no queue takes {route.key!r}")
        self._on_missing()

    def _on_close(self, raw: Any, reason: Exception) -> None:
        if self._channel is None or raw is not self._channel.raw:
            return
        self._channel = None
        if is_missing(reason):
            self._on_missing()
        self._fail_all(f"the connection was lost: {reason}")

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self._blocked = f"the broker takes no messages ({frame.method.reason})"
        self._fail_all(self._blocked)

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked = ""

    def _fail_all(self, reason: str) -> None:
        for publication in {*self._under_way.values(), *self._waiting}:
            publication.fail(reason)
        self._waiting.clear()
        if self._channel is None:
            self._under_way.clear()
