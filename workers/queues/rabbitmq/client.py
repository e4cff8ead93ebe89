"""The parts of one broker object, and how other threads reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.admin.management import Management
from workers.queues.rabbitmq.admin.permissions import missing_permissions
from workers.queues.rabbitmq.errors import translated
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.topology.declarations import plan_of_all
from workers.queues.rabbitmq.topology.declarer import Declarer
from workers.queues.rabbitmq.transport.connection import Link
from workers.queues.rabbitmq.transport.event_loop import EventThread
from workers.queues.rabbitmq.transport.publisher import Message, Publisher
from workers.queues.rabbitmq.url import Address

T = TypeVar("T")


class Client:
    """Two connections on one thread: in an alarm the broker stops reading from the one that publishes.

    Coroutines run on that thread; all other methods are for every other thread.
    """

    def __init__(
        self,
        address: Address,
        *,
        retry_delays_s: Sequence[float],
        max_results: int,
        window: int,
        call_s: float,
    ) -> None:
        self.address = address
        self.retry_delays_s = sorted(retry_delays_s)
        self._call_s = call_s
        self._thread = EventThread(name=f"rabbitmq {address.host}")
        self._outgoing = Link(address, name="publishes", limit_s=call_s)
        self.incoming = Link(address, name="consumes", limit_s=call_s)
        self.shared = plan_of_all(retry_delays_s=self.retry_delays_s, max_results=max_results)
        self.declarer = Declarer(self.incoming, self.shared)
        self.management = Management(address, limit_s=call_s)
        self._publisher = Publisher(
            self._outgoing, window=window, stall_s=call_s, on_missing=self.declarer.forget
        )

    def retry_queues_among(self, queues: Iterable[str], *, at_least_s: float = 0.0) -> frozenset[str]:
        """Our own, and those of other settings that are there; of so long a delay."""
        named = {*queues, *map(names.retry_queue_of, self.retry_delays_s)}
        delays_s = {name: names.retry_queue_delay_s(name) for name in named}
        return frozenset(name for name, delay_s in delays_s.items() if delay_s and delay_s >= at_least_s)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives. Raises: Unavailable, after `call_s` at the latest; UsageError."""
        return self.call_at_length(self._within(work))

    def call_at_length(self, work: Coroutine[Any, Any, T]) -> T:
        """The same for work that gives up by itself when there is no progress."""
        try:
            return self._thread.call(work)
        except Exception as error:
            raise translated(error, self.address) from None

    def soon(self, callback: Callable[[], object]) -> None:
        """In the order of asking; nothing is waited for."""
        self._thread.soon(callback)

    async def publish(
        self,
        messages: Sequence[Message],
        *,
        version: VersionName | None = None,
        headers: Mapping[str, int] | None = None,
    ) -> None:
        """To queues that are there by then, of `version` too. Returns when a queue has taken each."""
        await self._within(self.declarer.ensure(version))
        await self._publisher.publish(messages, headers)

    async def server_version(self) -> str:
        """Such as 3.10.8."""
        connection = await self.incoming.opened()
        return str(connection.server_properties["version"])

    async def missing_permissions(self) -> list[str]:
        """Such as `read`. Changes nothing; in an alarm no answer comes."""
        return await missing_permissions(await self._outgoing.opened())

    def close(self) -> None:
        """What is held comes again, to anyone."""
        self._thread.stop(last=self._close)

    async def _within(self, work: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(self._call_s):
            return await work

    async def _close(self) -> None:
        await asyncio.gather(self._outgoing.close(), self.incoming.close())
