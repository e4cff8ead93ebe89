"""The client for asyncio: the methods of `Client`, each run in a thread.

urllib3 is synchronous. A second implementation of retries, rests and deadlines would have to be kept equal to
the first one; a thread that waits for a host costs little compared to the picture that it sends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from panopticon_client.client import Client

P = ParamSpec("P")
T = TypeVar("T")


def _in_a_thread(
    method: Callable[Concatenate[Client, P], T],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    @wraps(method)
    async def run(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> T:
        return await self._run(partial(method, self._client, *args, **options))

    return run


def _each_in_a_thread(
    method: Callable[Concatenate[Client, P], Generator[T, None, None]],
) -> Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]]:
    @wraps(method)
    async def run(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> AsyncGenerator[T, None]:
        items = method(self._client, *args, **options)
        # A cancelled step still runs in its thread, and a generator that runs cannot be closed.
        lock = threading.Lock()

        def step() -> T | None:
            with lock:
                return next(items, None)

        def close() -> None:
            with lock:
                items.close()

        try:
            while (item := await self._run(step)) is not None:
                yield item
        finally:
            await self._run(close)

    return run


class AsyncClient:
    """A `Client` for one event loop, with the same options and methods.

    A call that is cancelled is no longer waited for; its request goes on until it is answered, at most for
    the time of the call.
    """

    def __init__(self, *args: Any, threads: int = 32, **options: Any) -> None:
        """`threads`: calls under way at once; more wait for their turn."""
        self._client = Client(*args, **options)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="panopticon-client")

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls that are under way, and close the idle connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    analyze = _in_a_thread(Client.analyze)
    analyze_many = _each_in_a_thread(Client.analyze_many)
    models = _in_a_thread(Client.models)
    image = _in_a_thread(Client.image)
    search = _in_a_thread(Client.search)
    hosts = _in_a_thread(Client.hosts)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
