"""Publishing with confirms: many messages are in flight at once, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import pika

from workers.queues.rabbitmq.errors import down, is_missing
from workers.queues.rabbitmq.transport.buffered_connection import BufferedConnection
from workers.queues.rabbitmq.transport.channels import Channel, open_channel
from workers.queues.rabbitmq.transport.connection import ReconnectingConnection

PERSISTENT = 2


class Route(NamedTuple):
    """The exchange and routing key of a message; the empty exchange takes a queue's name as the key."""

    exchange: str
    key: str


class OutgoingMessage(NamedTuple):
    """One message to be published."""

    route: Route
    body: bytes
    mandatory: bool = True
    """False if the message may be dropped when no queue is bound to its route."""


class Publication:
    """Messages that succeed or fail together."""

    def __init__(self, messages: Sequence[OutgoingMessage], headers: Mapping[str, int] | None) -> None:
        self.messages = messages
        self.properties = pika.BasicProperties(delivery_mode=PERSISTENT, headers=headers)
        self.sent = 0
        self.confirmed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def uses(self, route: Route) -> bool:
        """Return whether any of the messages is sent to this route."""
        return any(message.route == route for message in self.messages)

    def confirm(self) -> None:
        """Count one more confirmed message; the last one completes the publication."""
        self.confirmed += 1
        if self.confirmed == len(self.messages) and not self.done.done():
            self.done.set_result(None)

    def fail(self, reason: str) -> None:
        """Fail all of its messages as Unavailable, unless they are done already."""
        if not self.done.done():
            self.done.set_exception(down(reason))


class Publisher:
    """The channel on which a broker object publishes. Used by the event-loop thread only."""

    def __init__(
        self,
        connection: ReconnectingConnection,
        *,
        window: int,
        stall_s: float,
        on_missing: Callable[[], None],
    ) -> None:
        """Connect to nothing yet.

        `window`: the most messages that are sent and not yet confirmed. `stall_s`: the time without any
        confirm after which publishing fails. `on_missing` is called when a queue or an exchange turns out
        to be missing.
        """
        self._connection = connection
        self._window = window
        self._stall_s = stall_s
        self._on_missing = on_missing
        self._opening = asyncio.Lock()
        self._channel: Channel | None = None
        self._watched: BufferedConnection | None = None
        self._blocked = ""
        self._tag = 0
        self._in_flight: dict[int, Publication] = {}
        self._waiting: deque[Publication] = deque()

    async def publish(
        self, messages: Sequence[OutgoingMessage], headers: Mapping[str, int] | None = None
    ) -> None:
        """Return when every message is in a queue. Raises: Unavailable; any of them may be in one then."""
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
            # It failed before all of it was sent.
            if publication in self._waiting:
                self._waiting.remove(publication)

    async def _confirmed(self, publication: Publication) -> None:
        # Waits as long as there is progress.
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
            connection = await self._connection.opened()
            if connection is not self._watched:
                # In an alarm the broker blocks a connection: it reads nothing more from it.
                self._watched = connection
                self._blocked = ""
                connection.add_on_connection_blocked_callback(self._on_blocked)
                connection.add_on_connection_unblocked_callback(self._on_unblocked)
            if self._channel is None:
                channel = await open_channel(connection)
                channel.raw.add_on_close_callback(self._on_close)
                channel.raw.add_on_return_callback(self._on_return)
                await channel.ask(channel.raw.confirm_delivery, ack_nack_callback=self._on_answer)
                self._tag = 0
                self._channel = channel

    def _send(self) -> None:
        while self._waiting and self._channel is not None and len(self._in_flight) < self._window:
            publication = self._waiting[0]
            room = self._window - len(self._in_flight)
            publish = partial(self._channel.raw.basic_publish, properties=publication.properties)
            for route, body, mandatory in publication.messages[publication.sent : publication.sent + room]:
                publish(route.exchange, route.key, body, mandatory=mandatory)
                self._tag += 1
                publication.sent += 1
                self._in_flight[self._tag] = publication
            # A publication that is larger than the window goes on when some of it is confirmed.
            if publication.sent == len(publication.messages):
                self._waiting.popleft()

    def _on_answer(self, frame: Any) -> None:
        # It confirms or refuses one message, or all messages up to it.
        answer = frame.method
        tags = [answer.delivery_tag]
        if answer.multiple:
            tags = [*takewhile(lambda tag: tag <= answer.delivery_tag, self._in_flight)]
        for tag in tags:
            publication = self._in_flight.pop(tag)
            if isinstance(answer, pika.spec.Basic.Ack):
                publication.confirm()
            else:
                publication.fail("the broker refused a message: its queue is full or has failed")
        self._send()

    def _on_return(self, _raw: Any, method: Any, _properties: Any, _body: bytes) -> None:
        # The broker does not report which message it was, and confirms it as well: so every message of the
        # same route fails.
        route = Route(method.exchange, method.routing_key)
        for publication in {*self._in_flight.values()}:
            if not publication.done.done() and publication.uses(route):
                publication.fail(f"no queue takes {route.key!r}")
        self._on_missing()

    def _on_close(self, raw: Any, reason: Exception) -> None:
        # A channel that is closed before it is ready has published nothing.
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
        for publication in {*self._in_flight.values(), *self._waiting}:
            publication.fail(reason)
        self._waiting.clear()
        # While the channel is open, the broker still answers for what is in flight.
        if self._channel is None:
            self._in_flight.clear()
