"""Connections and channels of pika, awaited instead of with callbacks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pika

from panopticon.errors import UsageError
from workers.queues.rabbitmq.transport.buffered_connection import BufferedConnection
from workers.queues.rabbitmq.url import RabbitAddress, Security

ABORT_S = 1.0
BLOCKED_S = 60.0
"""A connection that is blocked for this time is reopened, in case the broker forgot to unblock it."""


class Channel:
    """A channel of pika, `raw`, whose answers are awaited.

    When the channel is closed, everything that waits for an answer raises the reason.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._waiting: set[asyncio.Future[Any]] = set()
        raw.add_on_close_callback(self._on_close)

    async def ask(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Call one of the methods of `raw` and return the broker's answer."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        try:
            method(**arguments, callback=partial(_give, answer))
            return (await answer).method
        finally:
            self._waiting.discard(answer)

    def close(self) -> None:
        """Close the channel unless it is closed already."""
        if self.raw.is_open:
            self.raw.close()

    def _on_close(self, _raw: Any, reason: Exception) -> None:
        for answer in self._waiting:
            _refuse(answer, reason)


async def open_connection(
    address: RabbitAddress, *, name: str, limit_s: float
) -> tuple[BufferedConnection, asyncio.Future[Exception]]:
    """Open a connection. Return it, and a future that gets the reason when it is lost.

    Raises: what pika raises, UsageError for certificates that cannot be used.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[BufferedConnection] = loop.create_future()
    closed: asyncio.Future[Exception] = loop.create_future()
    connection = BufferedConnection(
        _parameters(address, name=name, limit_s=limit_s),
        on_open_callback=partial(_give, opened),
        on_open_error_callback=lambda _, error: _refuse(opened, error),
        on_close_callback=lambda _, error: closed.set_result(error),
        custom_ioloop=loop,
    )
    try:
        return await asyncio.shield(opened), closed
    except asyncio.CancelledError:
        # The caller's time is over: the attempt ends too, so that it leaves no socket behind.
        connection.close()
        await asyncio.wait([asyncio.gather(opened, return_exceptions=True)], timeout=ABORT_S)
        raise


@asynccontextmanager
async def opened_channel(connection: BufferedConnection) -> AsyncIterator[Channel]:
    """Open a channel for a few questions, and close it after them."""
    channel = await open_channel(connection)
    try:
        yield channel
    finally:
        channel.close()


async def open_channel(connection: BufferedConnection) -> Channel:
    """Open a channel. Raises: what closed it, if the broker refuses it."""
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


def _parameters(address: RabbitAddress, *, name: str, limit_s: float) -> pika.ConnectionParameters:
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
    """Raise UsageError for files that are not certificates, or that do not belong together."""
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
