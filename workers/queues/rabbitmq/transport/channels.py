"""Connections and channels of pika whose callbacks are awaited."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pika

from panopticon.errors import UsageError
from workers.queues.rabbitmq.transport.buffered_connection import CoalescingConnection
from workers.queues.rabbitmq.url import Address, Security

ABORT_S = 1.0
BLOCKED_S = 60.0
"""A connection that may not publish for so long is opened anew, in case the broker forgot to say go."""


class Channel:
    """A channel of pika, as `raw`, with its answers awaited. What closes it is raised by whatever waits."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._waiting: set[asyncio.Future[Any]] = set()
        raw.add_on_close_callback(self._on_close)

    async def ask(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """The broker's answer to one of the methods of `raw`."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        try:
            method(**arguments, callback=partial(_give, answer))
            return (await answer).method
        finally:
            self._waiting.discard(answer)

    def close(self) -> None:
        if self.raw.is_open:
            self.raw.close()

    def _on_close(self, _raw: Any, reason: Exception) -> None:
        for answer in self._waiting:
            _refuse(answer, reason)


async def open_connection(
    address: Address, *, name: str, limit_s: float
) -> tuple[CoalescingConnection, asyncio.Future[Exception]]:
    """An open connection, and what is told when it is lost. Raises: what pika raises; UsageError."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[CoalescingConnection] = loop.create_future()
    closed: asyncio.Future[Exception] = loop.create_future()
    connection = CoalescingConnection(
        _parameters(address, name=name, limit_s=limit_s),
        on_open_callback=partial(_give, opened),
        on_open_error_callback=lambda _, error: _refuse(opened, error),
        on_close_callback=lambda _, error: closed.set_result(error),
        custom_ioloop=loop,
    )
    try:
        return await asyncio.shield(opened), closed
    except asyncio.CancelledError:
        connection.close()
        await asyncio.wait([asyncio.gather(opened, return_exceptions=True)], timeout=ABORT_S)
        raise


@asynccontextmanager
async def opened_channel(connection: CoalescingConnection) -> AsyncIterator[Channel]:
    """A channel for a few questions, closed after them."""
    channel = await open_channel(connection)
    try:
        yield channel
    finally:
        channel.close()


async def open_channel(connection: CoalescingConnection) -> Channel:
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    raw = connection.channel(on_open_callback=partial(_give, opened))
    raw.add_on_close_callback(lambda _, reason: _refuse(opened, reason))
    return Channel(await opened)


def _give(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _refuse(answer: asyncio.Future[Any], reason: Exception) -> None:
    if not answer.done():
        answer.set_exception(reason)


def _parameters(address: Address, *, name: str, limit_s: float) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.user, address.password),
        heartbeat=address.heartbeat_s,
        blocked_connection_timeout=BLOCKED_S,
        connection_attempts=1,
        socket_timeout=limit_s,
        stack_timeout=limit_s,
        client_properties={"connection_name": name},
        ssl_options=address.security and pika.SSLOptions(_context(address.security), address.host),
    )


def _context(security: Security) -> ssl.SSLContext:
    """Raises: UsageError for files that are no certificates."""
    context = ssl.create_default_context()
    try:
        if security.cafile:
            context = ssl.create_default_context(cafile=security.cafile)
        if security.certfile:
            context.load_cert_chain(security.certfile, security.keyfile)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"broker: cafile, certfile and keyfile must be PEM files that belong together: {error.strerror}"
        ) from None
    return context
