"""The messages that the broker pushes from one queue, until they are taken and settled."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Set
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from workers.queues.rabbitmq.transport.channels import Channel, open_channel
from workers.queues.rabbitmq.transport.connection import ReconnectingConnection

log = logging.getLogger(__name__)

MAX_PREFETCH = 65_535


class DeliveryTag(NamedTuple):
    """The identity of one delivery: a number of the broker, which is unique on one channel only."""

    generation: int
    """Number of the channel, counted by the subscription."""
    number: int

    @classmethod
    def parse(cls, text: str) -> DeliveryTag:
        """Return the tag that `str` wrote."""
        generation, number = text.split(".")
        return cls(int(generation), int(number))

    def __str__(self) -> str:
        return f"{self.generation}.{self.number}"


class Arrival(NamedTuple):
    """One message as pika delivers it."""

    tag: DeliveryTag
    redelivered: bool
    routing_key: str
    headers: dict[str, Any]
    body: bytes


class Subscription:
    """The subscription to one queue, on its own channel.

    Used by the event-loop thread, except where a docstring names another.
    """

    def __init__(
        self,
        connection: ReconnectingConnection,
        queue: str,
        *,
        arrived: threading.Event,
        on_cancelled: Callable[[], None],
    ) -> None:
        """Subscribe to nothing yet.

        `arrived` is set to wake the receiving thread. `on_cancelled` is called when the broker ends the
        subscription, because the queue is gone.
        """
        self._connection = connection
        self._queue = queue
        self._arrived = arrived
        self._on_cancelled = on_cancelled
        self._changing = asyncio.Lock()
        self._channel: Channel | None = None
        self._consumer = ""
        self._first = asyncio.Event()
        self._arrivals: deque[Arrival] = deque()
        self._unsettled: dict[int, None] = {}
        self.generation = 1
        """Number of the present channel; read by any thread."""
        self.prefetch = 0
        """The most messages that the broker pushes before one is settled; 0: none. Read by any thread."""

    def take(self, most: int) -> list[Arrival]:
        """Take up to `most` messages, oldest first. Used by the receiving thread."""
        taken: list[Arrival] = []
        while len(taken) < most:
            # The event-loop thread may clear the messages between a check and the removal of one.
            try:
                taken.append(self._arrivals.popleft())
            except IndexError:
                break
        return taken

    @property
    def untaken(self) -> int:
        """The number of messages that were pushed and not taken. Read by any thread."""
        return len(self._arrivals)

    async def open(self, prefetch: int) -> None:
        """Let the broker push up to `prefetch` messages, more than before."""
        async with self._changed():
            if self._channel is None:
                channel = await open_channel(await self._connection.opened())
                channel.raw.add_on_close_callback(self._on_close)
                channel.raw.add_on_cancel_callback(self._on_cancel)
                self._channel = channel
            # The prefetch of a consumer is fixed when it subscribes.
            await self._cancel()
            await self._consume(min(prefetch, MAX_PREFETCH))

    async def await_first(self, limit_s: float) -> None:
        """Wait for the first message, but no longer than `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._first.wait()
        except TimeoutError:
            pass

    def holds(self, tag: DeliveryTag) -> bool:
        """Return whether a message was delivered on the present channel and is not settled."""
        return tag.generation == self.generation and tag.number in self._unsettled

    def ack(self, tags: Set[DeliveryTag]) -> None:
        """Ack these messages. Those whose channel is gone are skipped."""
        self._settle(tags, "basic_ack")

    async def requeue(self, tags: Set[DeliveryTag]) -> None:
        """Requeue these and all that nobody took; nothing more is pushed until the next `open`."""
        async with self._changed():
            await self._cancel()
            untaken = {arrival.tag for arrival in self.take(self.untaken)}
            self._settle({*tags, *untaken}, "basic_nack")

    @asynccontextmanager
    async def _changed(self) -> AsyncIterator[None]:
        # One change at a time. One that fails half-way leaves no channel behind.
        async with self._changing:
            try:
                yield
            except BaseException:
                if (channel := self._channel) is not None:
                    self._lose()
                    channel.close()
                raise

    async def _consume(self, prefetch: int) -> None:
        # The channel was lost since the last answer; the next `receive` opens another.
        if (channel := self._channel) is None:
            return
        await channel.ask(channel.raw.basic_qos, prefetch_count=prefetch)
        self._first.clear()
        taking = partial(self._on_message, self.generation)
        answer = await channel.ask(channel.raw.basic_consume, queue=self._queue, on_message_callback=taking)
        self._consumer = answer.consumer_tag
        self.prefetch = prefetch

    async def _cancel(self) -> None:
        if self._channel is not None and self._consumer:
            await self._channel.ask(self._channel.raw.basic_cancel, consumer_tag=self._consumer)
        self._consumer = ""
        self.prefetch = 0

    def _settle(self, tags: Set[DeliveryTag], method: str) -> None:
        # The broker delivers again what was not settled on a lost channel.
        if self._channel is None or not self._channel.raw.is_open:
            return
        settle = getattr(self._channel.raw, method)
        # The broker closes a channel for a tag that it does not know.
        numbers = {tag.number for tag in tags if self.holds(tag)}
        for number, multiple in _steps(self._unsettled, numbers):
            settle(number, multiple=multiple)
        for number in numbers:
            del self._unsettled[number]

    def _on_message(self, generation: int, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        # A late message of a former channel: the broker delivers it again.
        if generation != self.generation:
            return
        number = method.delivery_tag
        self._unsettled[number] = None
        headers = properties.headers or {}
        tag = DeliveryTag(generation, number)
        self._arrivals.append(Arrival(tag, method.redelivered, method.routing_key, headers, body))
        self._first.set()
        if not self._arrived.is_set():
            self._arrived.set()

    def _on_cancel(self, _frame: Any) -> None:
        # The broker cancels when the queue was deleted or its node is gone.
        log.warning("the broker ended the subscription to %s", self._queue)
        self._on_cancelled()
        if self._channel is not None:
            self._channel.close()

    def _on_close(self, raw: Any, reason: Exception) -> None:
        # A channel that `_changed` closes was given up before.
        if self._channel is not None and raw is self._channel.raw:
            log.info("the channel of %s was closed: %s", self._queue, reason)
            self._lose()

    def _lose(self) -> None:
        # Everything unsettled is delivered again, to any consumer: the tags of this channel are worthless.
        self.generation += 1
        self.prefetch = 0
        self._channel = None
        self._consumer = ""
        self._arrivals.clear()
        self._unsettled.clear()
        self._arrived.set()


def _steps(unsettled: dict[int, None], numbers: Set[int]) -> Iterator[tuple[int, bool]]:
    """Return the fewest calls that settle `numbers`, as (number, multiple).

    One call settles every message before the first that is kept.
    """
    last = 0
    for number in unsettled:
        if number not in numbers:
            break
        last = number
    if last:
        yield last, True
    yield from ((number, False) for number in sorted(numbers) if number > last)
