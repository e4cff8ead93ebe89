"""Makes sure that what must be there is there; says what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from pika import exceptions as pika_errors

from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.errors import is_missing
from workers.queues.rabbitmq.topology import declarations
from workers.queues.rabbitmq.topology.declarations import Binding, Plan
from workers.queues.rabbitmq.transport.buffered_connection import CoalescingConnection
from workers.queues.rabbitmq.transport.channels import Channel, opened_channel
from workers.queues.rabbitmq.transport.connection import Link


class QueueCounts(NamedTuple):
    """One queue, as the broker counts it at this moment."""

    ready: int
    consumers: int


class Declarer:
    """Used by the thread of its event loop only."""

    def __init__(self, link: Link, shared: Plan) -> None:
        self._link = link
        self._shared = shared
        self._declaring = asyncio.Lock()
        self._connection: CoalescingConnection | None = None
        self._shared_done = False
        self._done: set[VersionName] = set()

    def forget(self) -> None:
        """Somebody deleted something: look again before the next use."""
        self._shared_done = False
        self._done.clear()

    async def ensure(self, version: VersionName | None = None) -> None:
        """Once a connection. Raises: UsageError where something of another kind is there; Unavailable."""
        connection = await self._link.opened()
        if connection is not self._connection:
            self._connection = connection
            self.forget()
        if self._is_done(version):
            return
        async with self._declaring, opened_channel(connection) as channel:
            if not self._shared_done:
                await _declare(channel, self._shared)
                self._shared_done = True
            if version is not None:
                await _declare(channel, declarations.plan_of(version))
                self._done.add(version)

    async def bind(self, version: VersionName) -> None:
        await self.ensure(version)
        async with opened_channel(await self._link.opened()) as channel:
            for binding in declarations.feeding(version):
                await _bind_exchange(channel, binding)

    async def unbind(self, version: VersionName) -> None:
        async with opened_channel(await self._link.opened()) as channel:
            for binding in reversed(declarations.feeding(version)):
                await channel.ask(
                    channel.raw.exchange_unbind,
                    destination=binding.target,
                    source=binding.source,
                    routing_key=binding.key,
                )

    async def delete(self, version: VersionName) -> None:
        plan = declarations.plan_of(version)
        async with opened_channel(await self._link.opened()) as channel:
            for queue in plan.queues:
                await channel.ask(channel.raw.queue_delete, queue=queue.name)
            for exchange in plan.exchanges:
                await channel.ask(channel.raw.exchange_delete, exchange=exchange.name)
        self._done.discard(version)

    async def counts(self, queues: Iterable[str]) -> dict[str, QueueCounts]:
        """Of these queues at this moment; of a missing one, nothing."""
        connection = await self._link.opened()
        return {queue: await _queue_counts(connection, queue) for queue in queues}

    def _is_done(self, version: VersionName | None) -> bool:
        return self._shared_done and (version is None or version in self._done)


async def _queue_counts(connection: CoalescingConnection, queue: str) -> QueueCounts:
    """A channel of its own, since the broker closes it where there is no such queue."""
    async with opened_channel(connection) as channel:
        try:
            answer = await channel.ask(channel.raw.queue_declare, queue=queue, passive=True)
        except pika_errors.ChannelClosedByBroker as error:
            if is_missing(error):
                return QueueCounts(ready=0, consumers=0)
            raise
    return QueueCounts(ready=answer.message_count, consumers=answer.consumer_count)


async def _declare(channel: Channel, plan: Plan) -> None:
    raw = channel.raw
    for exchange in plan.exchanges:
        await channel.ask(
            raw.exchange_declare,
            exchange=exchange.name,
            exchange_type=exchange.kind,
            durable=True,
            arguments=exchange.arguments,
        )
    for queue in plan.queues:
        await channel.ask(raw.queue_declare, queue=queue.name, durable=True, arguments=queue.arguments)
    for binding in plan.bindings:
        await channel.ask(
            raw.queue_bind, queue=binding.target, exchange=binding.source, routing_key=binding.key
        )


async def _bind_exchange(channel: Channel, binding: Binding) -> None:
    await channel.ask(
        channel.raw.exchange_bind,
        destination=binding.target,
        source=binding.source,
        routing_key=binding.key,
    )
