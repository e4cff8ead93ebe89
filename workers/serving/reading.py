"""Reading store and search for requests, in a few threads, each with connections of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property
from queue import SimpleQueue
from typing import Any, TypeVar

from panopticon.errors import Damaged, PanopticonError, Unavailable
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.settings import Settings
from storage.search import open_search
from storage.sqlite.database import SCHEME, path_of
from storage.stores import open_store
from workers.queues import broker_of

THREADS = 4
MAX_WAITING = 64
"""Reads that wait for a thread, at most; more are refused at once."""

CLOSE_S = 5.0
"""The time that the reads under way have to end when the service does."""

T = TypeVar("T")


class ReadersBusy(PanopticonError):  # noqa: N818
    """The refusal of a read: as many as may wait for a thread do, or the threads end."""


class ReadTooLate(PanopticonError):  # noqa: N818
    """A read that had not ended in time; its answer is dropped."""


class ReadingParts:
    """Store, search and broker of one thread, opened at first use. No other thread may use them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def store(self) -> Store:
        """Open the store. Raises: UsageError if its URL is wrong, Unavailable if it is not there."""
        _look_for_file("store", self._settings.store_url)
        return open_store(self._settings.store_url)

    @cached_property
    def search(self) -> SearchIndex:
        """Open the search index. Raises: UsageError if its URL is wrong, Unavailable if it is not there."""
        _look_for_file("search", self._settings.search_url)
        return open_search(self._settings.search_url)

    @cached_property
    def broker(self) -> Broker:
        """Open the broker. Raises: UsageError if its URL is wrong, Unavailable if it is not there."""
        _look_for_file("queue", self._settings.broker_url)
        return broker_of(self._settings)

    def close(self) -> None:
        """Close what was opened; the next use opens it again."""
        for name in ("broker", "search", "store"):
            if part := vars(self).pop(name, None):
                # A connection that cannot be closed is lost already.
                with suppress(PanopticonError):
                    part.close()


Read = Callable[[ReadingParts], Any]


class Readers:
    """A few threads that read store and search. They start when they are needed, and last until `close`.

    Only the thread of the event loop may call the methods.
    """

    def __init__(self, settings: Settings, *, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._settings = settings
        self._max_threads = threads
        self._max_waiting = max_waiting
        self._jobs: SimpleQueue[tuple[Future[Any], Read] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._unfinished = 0
        self._closed = False

    async def run(self, read: Callable[[ReadingParts], T]) -> T:
        """Return what `read` returns. It runs in one of the threads, with the parts of that thread.

        Raises: ReadersBusy, ReadTooLate after `request_timeout_s`, and whatever `read` raises.
        """
        job = self._submit(read)
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                # Cancelling the wrapper cancels a job that no thread has taken yet.
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise ReadTooLate(
                f"store and search had not answered in {self._settings.request_timeout_s:g} s"
            ) from None

    def close(self, *, wait_s: float = CLOSE_S) -> None:
        """End the threads, which close their connections, and refuse further reads.

        A read that takes longer than `wait_s` is left to itself; its thread does not keep the process alive.
        """
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        deadline_s = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(deadline_s - time.monotonic(), 0.0))

    def _submit(self, read: Callable[[ReadingParts], T]) -> Future[T]:
        if self._closed:
            raise ReadersBusy("the service is about to stop")
        with self._lock:
            # A read counts until a thread has taken it, also if its request has ended: so behind threads that
            # hang, requests are refused at once instead of piling up.
            unfinished = self._unfinished + 1
        if unfinished > self._max_threads + self._max_waiting:
            raise ReadersBusy(f"{self._max_waiting} requests already wait for store and search")
        if len(self._threads) < min(unfinished, self._max_threads):
            name = f"reader-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        job: Future[T] = Future()
        with self._lock:
            self._unfinished += 1
        self._jobs.put((job, read))
        return job

    def _work(self) -> None:
        parts = ReadingParts(self._settings)
        try:
            while (taken := self._jobs.get()) is not None:
                self._do(*taken, parts)
        finally:
            parts.close()

    def _do(self, job: Future[Any], read: Read, parts: ReadingParts) -> None:
        # A job is cancelled if its request ended before a thread was free.
        if not job.set_running_or_notify_cancel():
            self._finished_one()
            return
        try:
            answer = read(parts)
        except BaseException as error:
            # Only a new connection sees the copy that replaces a damaged file.
            if isinstance(error, Damaged):
                parts.close()
            self._finished_one()
            job.set_exception(error)
        else:
            # Before its request knows, whose next one would otherwise count it as unfinished.
            self._finished_one()
            job.set_result(answer)

    def _finished_one(self) -> None:
        with self._lock:
            self._unfinished -= 1


def _look_for_file(component: str, url: str) -> None:
    """Raise Unavailable if the URL is that of an SQLite file that is not there: no question creates one."""
    if url.startswith(SCHEME) and not path_of(url).exists():
        raise Unavailable(component, f"there is no database at {path_of(url)}")
