"""A limited number of requests to Cassandra in flight at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

Row = tuple[Any, ...]


class Request(Protocol):
    """A request in flight. Exactly one of the callbacks is called, on a thread of the driver."""

    def add_callbacks(
        self,
        callback: Callable[[list[Row] | None, int], None],
        errback: Callable[[Exception, int], None],
        *,
        callback_args: tuple[int],
        errback_args: tuple[int],
    ) -> None: ...


class Window:
    """One pass over numbered requests. After a failure no further request is sent."""

    def __init__(self, send: Callable[[Row], Request], *, max_in_flight: int) -> None:
        self._send = send
        self._max_in_flight = max_in_flight
        self._free = threading.Semaphore(max_in_flight)
        self.answers: dict[int, list[Row]] = {}
        self.errors: dict[int, Exception] = {}
        self.sent_at_s: dict[int, float] = {}
        """The monotonic time at which each request was sent."""

    def run(self, requests: Iterable[tuple[int, Row]]) -> None:
        """Send the requests, and return when all that were sent have ended."""
        for number, values in requests:
            self._free.acquire()
            if self.errors:
                self._free.release()
                break
            self.sent_at_s[number] = time.monotonic()
            request = self._send(values)
            request.add_callbacks(
                self._answered, self._failed, callback_args=(number,), errback_args=(number,)
            )
        # Once all places are free, every request has ended.
        for _ in range(self._max_in_flight):
            self._free.acquire()

    def _answered(self, rows: list[Row] | None, number: int) -> None:
        self.answers[number] = rows or []
        self._free.release()

    def _failed(self, error: Exception, number: int) -> None:
        self.errors[number] = error
        self._free.release()
