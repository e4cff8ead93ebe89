"""One connection to the broker, opened anew whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random

from panopticon.errors import UsageError
from panopticon.scheduling.backoff import Backoff
from workers.queues.rabbitmq.errors import down, translated
from workers.queues.rabbitmq.transport.buffered_connection import CoalescingConnection
from workers.queues.rabbitmq.transport.channels import open_connection
from workers.queues.rabbitmq.url import Address

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
GOODBYE_S = 2.0
STEADY_S = 1.0
"""A connection that held for so long is opened anew at once when it is lost."""


class Link:
    """Used by the thread of its event loop only."""

    def __init__(self, address: Address, *, name: str, limit_s: float) -> None:
        """`limit_s`: for opening it."""
        self._address = address
        self._name = name
        self._limit_s = limit_s
        self._backoff = Backoff(first_s=FIRST_PAUSE_S, max_s=LONGEST_PAUSE_S, random=random.random)
        self._opened_once = False
        self._connection: asyncio.Future[CoalescingConnection] | None = None
        self._task: asyncio.Task[None] | None = None

    async def opened(self) -> CoalescingConnection:
        """The connection. While the first attempt lasts, waits; after one that failed, raises at once.

        Raises: UsageError for what a person must correct, as long as it was never open; Unavailable.
        """
        if self._connection is None:
            self._connection = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._keep_open())
        return await asyncio.shield(self._connection)

    async def close(self) -> None:
        """Wait for the broker's goodbye, and forget the connection."""
        task, connection = self._task, self._connection
        self._task = self._connection = None
        if task is not None and connection is not None:
            if connection.done() and not connection.exception():
                await _say_goodbye(connection.result(), task)
            task.cancel()

    async def _keep_open(self) -> None:
        """Until `close`, which it sees by its task being no longer this one."""
        loop = asyncio.get_running_loop()
        # The driver tells its own story of each failure; ours is in what is raised.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        while True:
            try:
                connection, closed = await open_connection(
                    self._address, name=f"panopticon {self._name}", limit_s=self._limit_s
                )
            except Exception as error:
                self._tell_failure(translated(error, self._address))
                await asyncio.sleep(self._backoff.next_s())
                continue
            self._tell_open(connection)
            opened_s = loop.time()
            reason = await closed
            if self._task is not asyncio.current_task():
                return
            log.warning("%s: the connection is lost", translated(reason, self._address))
            self._connection = loop.create_future()
            if loop.time() - opened_s >= STEADY_S:
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_s())

    def _tell_open(self, connection: CoalescingConnection) -> None:
        if self._connection is None or self._connection.done():
            self._connection = asyncio.get_running_loop().create_future()
        self._connection.set_result(connection)
        self._opened_once = True

    def _tell_failure(self, error: BaseException) -> None:
        """A broker that starts refuses for a while what it will accept, so nobody's mistake by then."""
        if self._opened_once and isinstance(error, UsageError):
            error = down(str(error))
        if self._connection is None or self._connection.done():
            self._connection = asyncio.get_running_loop().create_future()
        self._connection.set_exception(error)
        # Nobody may be waiting: it is told to whoever comes next.
        self._connection.exception()


async def _say_goodbye(connection: CoalescingConnection, until: asyncio.Task[None]) -> None:
    if connection.is_open:
        connection.close()
        await asyncio.wait([until], timeout=GOODBYE_S)
    if not until.done():
        connection.abort()
        await asyncio.wait([until], timeout=GOODBYE_S)
