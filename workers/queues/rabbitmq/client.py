"""The parts that the queues, uploads and topology of one broker object share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.admin.management import Management
from workers.queues.rabbitmq.admin.permissions import missing_permissions
from workers.queues.rabbitmq.errors import translated
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.topology.declarations import shared_declarations
from workers.queues.rabbitmq.topology.declarer import Declarer
from workers.queues.rabbitmq.transport.connection import ReconnectingConnection
from workers.queues.rabbitmq.transport.event_loop import EventLoopThread
from workers.queues.rabbitmq.transport.publisher import OutgoingMessage, Publisher
from workers.queues.rabbitmq.url import RabbitAddress

T = TypeVar("T")


class RabbitClient:
    """Two connections to one broker, on one event-loop thread.

    There are two, since in an alarm the broker reads nothing more from a connection that publishes.
    Coroutines run on the event-loop thread; all other methods may be called from every other thread.
    """

    def __init__(
        self,
        address: RabbitAddress,
        *,
        retry_delays_s: Sequence[float],
        max_results: int,
        window: int,
        call_s: float,
    ) -> None:
        self.address = address
        self.retry_delays_s = sorted(retry_delays_s)
        self._call_s = call_s
        self._thread = EventLoopThread(name=f"rabbitmq {address.host}")
        self._outgoing = ReconnectingConnection(address, name="publishes", limit_s=call_s)
        self.incoming = ReconnectingConnection(address, name="consumes", limit_s=call_s)
        self.shared = shared_declarations(retry_delays_s=self.retry_delays_s, max_results=max_results)
        self.declarer = Declarer(self.incoming, self.shared)
        self.management = Management(address, limit_s=call_s)
        self._publisher = Publisher(
            self._outgoing, window=window, stall_s=call_s, on_missing=self.declarer.forget
        )

    def retry_queues_among(self, queues: Iterable[str], *, at_least_s: float = 0.0) -> frozenset[str]:
        """Return the retry queues of these settings, and those among `queues` of other settings.

        Only those with a delay of at least `at_least_s` seconds are returned.
        """
        named = {*queues, *map(names.retry_queue_of, self.retry_delays_s)}
        delays_s = {name: names.retry_queue_delay_s(name) for name in named}
        return frozenset(name for name, delay_s in delays_s.items() if delay_s and delay_s >= at_least_s)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and return its result. Raises: Unavailable, after `call_s` at the latest; UsageError."""
        return self.call_at_length(self._within(work))

    def call_at_length(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` that ends by itself when it makes no progress. Raises: Unavailable, UsageError."""
        try:
            return self._thread.call(work)
        except Exception as error:
            raise translated(error, self.address) from None

    def soon(self, callback: Callable[[], object]) -> None:
        """Run callbacks in the order of the calls, without waiting."""
        self._thread.soon(callback)

    async def publish(
        self,
        messages: Sequence[OutgoingMessage],
        *,
        version: VersionName | None = None,
        headers: Mapping[str, int] | None = None,
    ) -> None:
        """Declare what is missing, for `version` too; return when every message is in a queue."""
        await self._within(self.declarer.ensure(version))
        await self._publisher.publish(messages, headers)

    async def server_version(self) -> str:
        """Return the version of the server, such as 3.10.8."""
        connection = await self.incoming.opened()
        return str(connection.server_properties["version"])

    async def missing_permissions(self) -> list[str]:
        """Return the permissions that the user lacks. Changes nothing; does not return during an alarm."""
        return await missing_permissions(await self._outgoing.opened())

    def close(self) -> None:
        """Close both connections; the broker delivers leased messages again, to any consumer."""
        self._thread.stop(last=lambda: asyncio.gather(self._outgoing.close(), self.incoming.close()))

    async def _within(self, work: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(self._call_s):
            return await work
