"""The part of a broker object that declares exchanges, queues and bindings before they are used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from pika import exceptions as pika_errors

from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.errors import is_missing
from workers.queues.rabbitmq.topology.declarations import (
    Declarations,
    upload_bindings,
    version_declarations,
)
from workers.queues.rabbitmq.transport.buffered_connection import BufferedConnection
from workers.queues.rabbitmq.transport.channels import Channel, opened_channel
from workers.queues.rabbitmq.transport.connection import ReconnectingConnection


class CurrentCount(NamedTuple):
    """The counts of one queue at this moment."""

    ready: int
    consumers: int


class Declarer:
    """Declares what is missing, once for each connection. Used by the event-loop thread only."""

    def __init__(self, connection: ReconnectingConnection, shared: Declarations) -> None:
        self._connection = connection
        self._shared = shared
        self._declaring = asyncio.Lock()
        self._declared_on: BufferedConnection | None = None
        self._shared_done = False
        self._done: set[VersionName] = set()

    def forget(self) -> None:
        """Declare everything again before its next use: somebody has deleted something."""
        self._shared_done = False
        self._done.clear()

    async def ensure(self, version: VersionName | None = None) -> None:
        """Declare what is shared, and what `version` needs.

        Raises: UsageError where something of the same name has other arguments, Unavailable.
        """
        connection = await self._connection.opened()
        # While the connection was lost, the broker may have lost its queues or been replaced.
        if connection is not self._declared_on:
            self._declared_on = connection
            self.forget()
        if self._shared_done and (version is None or version in self._done):
            return
        async with self._declaring, opened_channel(connection) as channel:
            # Another caller may have declared it while this one waited.
            if not self._shared_done:
                await _declare(channel, self._shared)
                self._shared_done = True
            if version is not None:
                await _declare(channel, version_declarations(version))
                self._done.add(version)

    async def bind(self, version: VersionName) -> None:
        """Let uploads reach a version. Raises: see `ensure`."""
        await self.ensure(version)
        async with opened_channel(await self._connection.opened()) as channel:
            for binding in upload_bindings(version):
                await channel.ask(
                    channel.raw.exchange_bind,
                    destination=binding.target,
                    source=binding.source,
                    routing_key=binding.key,
                )

    async def unbind(self, version: VersionName) -> None:
        """Keep uploads from a version; its queues stay."""
        async with opened_channel(await self._connection.opened()) as channel:
            # The binding that shows that the version is bound was made last, and goes first.
            for binding in reversed(upload_bindings(version)):
                await channel.ask(
                    channel.raw.exchange_unbind,
                    destination=binding.target,
                    source=binding.source,
                    routing_key=binding.key,
                )

    async def delete(self, version: VersionName) -> None:
        """Delete the queues and the exchange of a version."""
        declarations = version_declarations(version)
        async with opened_channel(await self._connection.opened()) as channel:
            for queue in declarations.queues:
                await channel.ask(channel.raw.queue_delete, queue=queue.name)
            for exchange in declarations.exchanges:
                await channel.ask(channel.raw.exchange_delete, exchange=exchange.name)
        self._done.discard(version)

    async def counts(self, queues: Iterable[str]) -> dict[str, CurrentCount]:
        """Return the counts of these queues at this moment; those of a missing queue are zero."""
        connection = await self._connection.opened()
        return {queue: await _current_count(connection, queue) for queue in queues}


async def _current_count(connection: BufferedConnection, queue: str) -> CurrentCount:
    # Each question has its own channel, since the broker closes it if the queue does not exist.
    async with opened_channel(connection) as channel:
        try:
            answer = await channel.ask(channel.raw.queue_declare, queue=queue, passive=True)
        except pika_errors.ChannelClosedByBroker as error:
            if is_missing(error):
                return CurrentCount(ready=0, consumers=0)
            raise
    return CurrentCount(ready=answer.message_count, consumers=answer.consumer_count)


async def _declare(channel: Channel, declarations: Declarations) -> None:
    raw = channel.raw
    for exchange in declarations.exchanges:
        await channel.ask(
            raw.exchange_declare,
            exchange=exchange.name,
            exchange_type=exchange.kind,
            durable=True,
            arguments=exchange.arguments,
        )
    for queue in declarations.queues:
        await channel.ask(raw.queue_declare, queue=queue.name, durable=True, arguments=queue.arguments)
    for binding in declarations.bindings:
        await channel.ask(
            raw.queue_bind, queue=binding.target, exchange=binding.source, routing_key=binding.key
        )
