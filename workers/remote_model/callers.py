"""The threads that wait for the service, each with a connection of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from workers.remote_model.connection import Connection

Call = TypeVar("Call", bound=Hashable)
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class _Bug:
    error: BaseException


class Callers(Generic[Call, Reply]):
    """Threads that carry out calls, as many as there are calls at once. Used by one thread.

    They are daemons: one that cannot be stopped does not keep the process from ending.
    """

    def __init__(
        self, perform: Callable[[Call, Connection], Reply], *, connect: Callable[[], Connection]
    ) -> None:
        """`perform` runs in the threads. An exception of it is a bug, and raised by `replies`."""
        self._perform = perform
        self._connect = connect
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[tuple[Call, Reply | _Bug]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._connections: list[Connection] = []
        self._under_way = 0

    def call(self, call: Call) -> None:
        """Carry out a call, in a thread that is started if none is free."""
        self._under_way += 1
        if self._under_way > len(self._threads):
            connection = self._connect()
            thread = threading.Thread(target=self._run, args=(connection,), name="espresso", daemon=True)
            self._connections.append(connection)
            self._threads.append(thread)
            thread.start()
        self._calls.put(call)

    def replies(self, *, wait_s: float) -> list[tuple[Call, Reply]]:
        """Return what has come, waiting up to `wait_s` for the first."""
        replies: list[tuple[Call, Reply]] = []
        try:
            while True:
                call, reply = self._replies.get(timeout=0 if replies else max(wait_s, 0))
                self._under_way -= 1
                if isinstance(reply, _Bug):
                    raise reply.error
                replies.append((call, reply))
        except queue.Empty:
            return replies

    def abandon(self) -> None:
        """Break off all requests that wait for their answers, which come back without success."""
        for connection in self._connections:
            connection.abandon()

    def close(self, *, timeout_s: float) -> None:
        """End the threads. One that is not at the service but fetches an original is left to itself."""
        for _ in self._threads:
            self._calls.put(None)
        self.abandon()
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline_s - time.monotonic(), 0))
        self._threads.clear()
        self._connections.clear()

    def _run(self, connection: Connection) -> None:
        while (call := self._calls.get()) is not None:
            try:
                reply: Reply | _Bug = self._perform(call, connection)
            except BaseException as error:
                reply = _Bug(error)
            self._replies.put((call, reply))
        connection.close()
