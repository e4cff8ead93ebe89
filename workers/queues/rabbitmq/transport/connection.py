"""One connection to the broker, reopened whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from random import SystemRandom

from panopticon.errors import UsageError
from panopticon.scheduling.backoff import Backoff
from workers.queues.rabbitmq.errors import down, translated
from workers.queues.rabbitmq.transport.buffered_connection import BufferedConnection
from workers.queues.rabbitmq.transport.channels import open_connection
from workers.queues.rabbitmq.url import RabbitAddress

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
CLOSE_S = 2.0
STEADY_S = 1.0
"""A connection that was open for this time is reopened at once when it is lost."""


class ReconnectingConnection:
    """A connection that is opened at first use and reopened when it is lost, until it is closed.

    Used by the event-loop thread only.
    """

    def __init__(self, address: RabbitAddress, *, name: str, limit_s: float) -> None:
        """Name the connection in the broker's list. `limit_s`: the time to open it."""
        self._address = address
        self._name = name
        self._limit_s = limit_s
        self._backoff = Backoff(first_s=FIRST_PAUSE_S, max_s=LONGEST_PAUSE_S, random=SystemRandom().random)
        self._opened_once = False
        self._connection: asyncio.Future[BufferedConnection] | None = None
        self._task: asyncio.Task[None] | None = None

    async def opened(self) -> BufferedConnection:
        """Return the open connection.

        Waits for the first attempt to open it. After a failed attempt it raises at once, while further
        attempts go on.

        Raises: UsageError for a mistake in the settings, unless the connection was open before; Unavailable.
        """
        if self._connection is None:
            self._connection = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._keep_open())
        return await asyncio.shield(self._connection)

    async def close(self) -> None:
        """Close the connection and wait for the broker to confirm it."""
        task, connection = self._task, self._connection
        self._task = self._connection = None
        if task is None or connection is None:
            return
        if connection.done() and not connection.exception():
            opened = connection.result()
            if opened.is_open:
                opened.close()
                await asyncio.wait([task], timeout=CLOSE_S)
            # The broker did not confirm in time.
            if not task.done():
                opened.abort()
                await asyncio.wait([task], timeout=CLOSE_S)
        task.cancel()

    async def _keep_open(self) -> None:
        loop = asyncio.get_running_loop()
        # The driver logs every failure; our callers receive it as an error.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        while True:
            try:
                connection, closed = await open_connection(
                    self._address, name=f"panopticon {self._name}", limit_s=self._limit_s
                )
            except Exception as error:
                self._set_failure(translated(error, self._address))
                await asyncio.sleep(self._backoff.next_s())
                continue
            self._set_open(connection)
            opened_s = loop.time()
            reason = await closed
            # `close` has forgotten this task: nobody wants another connection.
            if self._task is not asyncio.current_task():
                return
            log.warning("%s: the connection is lost", translated(reason, self._address))
            self._connection = loop.create_future()
            if loop.time() - opened_s >= STEADY_S:
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_s())

    def _set_open(self, connection: BufferedConnection) -> None:
        if self._connection is None or self._connection.done():
            self._connection = asyncio.get_running_loop().create_future()
        self._connection.set_result(connection)
        self._opened_once = True

    def _set_failure(self, error: BaseException) -> None:
        # A broker that restarts refuses for a while what it accepted before: nobody made a mistake then.
        if self._opened_once and isinstance(error, UsageError):
            error = down(str(error))
        if self._connection is None or self._connection.done():
            self._connection = asyncio.get_running_loop().create_future()
        self._connection.set_exception(error)
        # Marks the error as retrieved: if nobody waits now, the next caller of `opened` gets it.
        self._connection.exception()
