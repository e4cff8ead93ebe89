"""The thread that owns the connections of a broker object."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STOP_S = 5.0


class EventLoopThread:
    """An event loop on its own thread, from the first call until `stop`."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the thread, wait for it, and return or raise what it does."""
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    def soon(self, callback: Callable[[], object]) -> None:
        """Run `callback` on the thread after everything that was asked before, without waiting."""
        self._running().call_soon_threadsafe(callback)

    def stop(self, *, last: Callable[[], Awaitable[object]]) -> None:
        """Await `last()` if the loop ever ran, and end the thread; after this only `stop` may be called."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._stopped = True
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_ended(last), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(STOP_S)
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._stopped:
                raise RuntimeError("used after it was closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon thread, so that a forgotten close() does not keep a program from ending.
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop


async def _ended(last: Callable[[], Awaitable[object]]) -> None:
    await last()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
