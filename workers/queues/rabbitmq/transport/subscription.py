"""What the broker pushes from one queue, until somebody takes it; and what became of it."""

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
from workers.queues.rabbitmq.transport.connection import Link

log = logging.getLogger(__name__)

MAX_PREFETCH = 65_535


class Tag(NamedTuple):
    """One handing-over: a broker's own tag means another message on another channel."""

    generation: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Tag:
        generation, number = text.split(".")
        return cls(int(generation), int(number))

    def __str__(self) -> str:
        return f"{self.generation}.{self.number}"


class Arrival(NamedTuple):
    """One message as pika gives it."""

    tag: Tag
    redelivered: bool
    headers: dict[str, Any]
    body: bytes


class Subscription:
    """One queue, on a channel of its own. What is not said otherwise is for the thread of its event loop."""

    def __init__(
        self, link: Link, queue: str, *, arrived: threading.Event, on_cancelled: Callable[[], None]
    ) -> None:
        """`arrived` is set by whatever should wake who waits. `on_cancelled`: the queue is gone."""
        self._link = link
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
        """Of the channel; read by any thread."""
        self.prefetch = 0
        """How many the broker pushes before any is settled; 0: it pushes none. Read by any thread."""

    def take(self, most: int) -> list[Arrival]:
        """What came, oldest first. For the one thread that receives."""
        taken: list[Arrival] = []
        while len(taken) < most and (arrival := self._next()) is not None:
            taken.append(arrival)
        return taken

    @property
    def untaken(self) -> int:
        """How many came and were not taken. For any thread."""
        return len(self._arrivals)

    async def open(self, prefetch: int) -> None:
        """Have up to so many pushed, more than before."""
        async with self._changed():
            if self._channel is None:
                await self._open_channel()
            await self._cancel()
            await self._consume(min(prefetch, MAX_PREFETCH))

    async def await_first(self, limit_s: float) -> None:
        """Wait for a message, or in vain."""
        try:
            async with asyncio.timeout(limit_s):
                await self._first.wait()
        except TimeoutError:
            pass

    def holds(self, tag: Tag) -> bool:
        return tag.generation == self.generation and tag.number in self._unsettled

    def ack(self, tags: Set[Tag]) -> None:
        """Only what is held: the broker closes a channel for a tag that it does not know."""
        self._settle(tags, "basic_ack")

    async def requeue(self, tags: Set[Tag]) -> None:
        """These, and what nobody took, ready for anyone; nothing more is pushed until the next `open`."""
        async with self._changed():
            await self._cancel()
            untaken = {arrival.tag for arrival in self.take(self.untaken)}
            self._settle({*tags, *untaken}, "basic_nack")

    @asynccontextmanager
    async def _changed(self) -> AsyncIterator[None]:
        """One change at a time; one that fails half-way leaves no channel behind it."""
        async with self._changing:
            try:
                yield
            except BaseException:
                if (channel := self._channel) is not None:
                    self._lose()
                    channel.close()
                raise

    def _next(self) -> Arrival | None:
        try:
            return self._arrivals.popleft()
        except IndexError:
            return None

    async def _open_channel(self) -> None:
        channel = await open_channel(await self._link.opened())
        channel.raw.add_on_close_callback(self._on_close)
        channel.raw.add_on_cancel_callback(self._on_cancel)
        self._channel = channel

    async def _consume(self, prefetch: int) -> None:
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

    def _settle(self, tags: Set[Tag], method: str) -> None:
        if self._channel is None or not self._channel.raw.is_open:
            return
        settle = getattr(self._channel.raw, method)
        numbers = {tag.number for tag in tags if self.holds(tag)}
        for number, multiple in _steps(self._unsettled, numbers):
            settle(number, multiple=multiple)
        for number in numbers:
            del self._unsettled[number]

    def _on_message(self, generation: int, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        if generation != self.generation:
            return
        number = method.delivery_tag
        self._unsettled[number] = None
        headers = properties.headers or {}
        self._arrivals.append(Arrival(Tag(generation, number), method.redelivered, headers, body))
        self._first.set()
        if not self._arrived.is_set():
            self._arrived.set()

    def _on_cancel(self, _frame: Any) -> None:
        """By the broker: the queue was deleted, or its node is gone."""
        log.warning("the broker ended the subscription to %s", self._queue)
        self._on_cancelled()
        if self._channel is not None:
            self._channel.close()

    def _on_close(self, raw: Any, reason: Exception) -> None:
        if self._channel is not None and raw is self._channel.raw:
            log.info("the channel of %s was closed: %s", self._queue, reason)
            self._lose()

    def _lose(self) -> None:
        """What is held comes again, to anyone: its tags are worth nothing from now on."""
        self.generation += 1
        self.prefetch = 0
        self._channel = None
        self._consumer = ""
        self._arrivals.clear()
        self._unsettled.clear()
        self._arrived.set()


def _steps(unsettled: dict[int, None], numbers: Set[int]) -> Iterator[tuple[int, bool]]:
    """The fewest calls that settle `numbers`: one for all that lie before the first that is kept."""
    last = 0
    for number in unsettled:
        if number not in numbers:
            break
        last = number
    if last:
        yield last, True
    yield from ((number, False) for number in sorted(numbers) if number > last)
