"""Send requests when they are due, however slow the answers: `python -m benchmarks.http.open_loop < JOB`.

A program, so that it has an interpreter of its own. A latency counts from the time that a request was due: a
server that is late, or a generator that is, shortens no latency. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.http.answers import seems_right
from benchmarks.http.ideal_queue import percentile
from benchmarks.http.requests import Target, Upload

OK = 200
LOST = 0
"""The status of a request whose connection ended without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The requests to send, and their times."""

    port: int
    path: str
    upload: Upload
    pictures: tuple[str, ...]
    """Files, sent in turns."""
    expected: tuple[Mapping[str, Any], ...]
    """The right answer to each of them."""
    arrivals: tuple[float, ...]
    seconds: float
    """The time in which the arrivals come."""
    connections: int
    """Connections that may be open at once; a request that is due waits for one, and its latency runs."""
    within_s: float
    """An answer that takes longer does not count as good."""
    drain_s: float
    """Seconds to wait for answers after the last arrival."""


@dataclass(slots=True, kw_only=True)
class Sent:
    """One request that was due."""

    due_s: float
    picture: int
    lateness_s: float = 0.0
    latency_s: float | None = None
    status: int = LOST
    head: bytes = b""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Figures of one run."""

    offered_per_s: float
    goodput_per_s: float
    """Right answers that came in time, by the seconds in which requests came."""
    answered_per_s: float
    """Right answers until the last arrival, however late, by the same seconds."""
    p50_ms: float
    p99_ms: float
    """Percentiles of the latency are those of right answers."""
    refusals: Mapping[str, int]
    """Status, `0` for a lost connection → requests."""
    with_retry_after: int
    """Refusals with the header Retry-After."""
    refusal_p99_ms: float
    wrong: int
    unanswered: int
    generator_late_p99_ms: float
    """Time from when a request was due until it was written."""


class Connection(asyncio.Protocol):
    """One connection, with at most one request at a time."""

    def __init__(self, done: Callable[[Connection, Sent], None]) -> None:
        self._done = done
        self._received = bytearray()
        self._sent: Sent | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since the transports of uvloop derive from no class of asyncio.
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def send(self, sent: Sent, request: bytes) -> None:
        self._sent = sent
        self._received.clear()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if self._sent is None or end < 0:
            return
        head = bytes(self._received[:end]).lower()
        body = body_of(head, self._received[end + 4 :])
        if body is None:
            return
        sent, self._sent = self._sent, None
        sent.status, sent.head, sent.body = int(head[9:12]), head, body
        stays = b"connection: close" not in head
        self.is_open = self.is_open and stays
        if not stays:
            self._transport.close()
        self._done(self, sent)

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        sent, self._sent = self._sent, None
        if sent is not None:
            self._done(self, sent)


def body_of(head: bytes, rest: bytes | bytearray) -> bytes | None:
    """Return the body if all of it is there, else None. `head`: in small letters."""
    if b"transfer-encoding: chunked" in head:
        return unchunked(bytes(rest))
    field = head.partition(b"content-length:")[2]
    length = int(field.split(b"\r\n", 1)[0]) if field else 0
    return bytes(rest) if len(rest) >= length else None


def unchunked(rest: bytes) -> bytes | None:
    """Return the body that came in chunks if the last one is there, else None."""
    body = b""
    while True:
        size, line_end, rest = rest.partition(b"\r\n")
        length = int(size, 16) if line_end else -1
        if length < 0 or len(rest) < length + 2:
            return None
        if length == 0:
            return body
        body, rest = body + rest[:length], rest[length + 2 :]


class Generator:
    """All requests of one job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        target = Target(port=job.port, path=job.path, upload=job.upload)
        self._requests = [target.request(Path(picture).read_bytes()) for picture in job.pictures]
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[Sent] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._all: list[Sent] = []
        self._answered = 0
        self._bugs: list[str] = []
        self._connections: list[Connection] = []
        self._is_over = False

    async def run(self) -> list[Sent]:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._failed)
        await asyncio.gather(*(self._open_one() for _ in range(min(64, self._job.connections))))
        self._begun_s = time.perf_counter()
        # The event loop's own timers are as coarse as a millisecond.
        threading.Thread(target=self._pace, daemon=True).start()
        end_s = self._begun_s + self._job.seconds + self._job.drain_s
        while self._answered < len(self._job.arrivals) and time.perf_counter() < end_s:
            await asyncio.sleep(0.02)
        self._is_over = True
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)
        if self._bugs:
            raise RuntimeError(f"the generator failed: {self._bugs[0]}")
        return self._all

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        self._bugs.append(f"{context['message']}: {context.get('exception')!r}")

    def _pace(self) -> None:
        for number, due_s in enumerate(self._job.arrivals):
            left_s = self._begun_s + due_s - time.perf_counter()
            if left_s > 0:
                time.sleep(left_s)
            self._loop.call_soon_threadsafe(
                self._due, Sent(due_s=due_s, picture=number % len(self._requests))
            )

    def _due(self, sent: Sent) -> None:
        self._all.append(sent)
        self._waiting.append(sent)
        self._send_waiting()

    async def _open_one(self) -> None:
        self._open += 1
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._done), "127.0.0.1", self._job.port
            )
        except OSError:
            self._open -= 1
            return
        self._connections.append(connection)
        self._idle.append(connection)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._idle:
            connection = self._idle.pop()
            if not connection.is_open:
                self._open -= 1
                continue
            sent = self._waiting.popleft()
            sent.lateness_s = time.perf_counter() - self._begun_s - sent.due_s
            connection.send(sent, self._requests[sent.picture])
        if len(self._waiting) > len(self._opening) and self._open < self._job.connections:
            task = self._loop.create_task(self._open_one())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _done(self, connection: Connection, sent: Sent) -> None:
        # What is cut off at the end stays without an answer.
        if self._is_over:
            return
        sent.latency_s = time.perf_counter() - self._begun_s - sent.due_s
        self._answered += 1
        if connection.is_open:
            self._idle.append(connection)
        else:
            self._open -= 1
        self._send_waiting()


def figures(all_sent: Sequence[Sent], job: Job) -> OpenLoop:
    """Sum up a run, after comparing every answer with the right one."""
    right, wrong, refused = [], 0, []
    for sent in all_sent:
        if sent.latency_s is None:
            continue
        if sent.status != OK:
            refused.append(sent)
        elif seems_right(sent.body, job.expected[sent.picture]):
            right.append((sent.latency_s, sent.due_s))
        else:
            wrong += 1
    latencies = [latency for latency, _ in right]
    statuses = sorted({sent.status for sent in refused})
    return OpenLoop(
        offered_per_s=len(job.arrivals) / job.seconds,
        goodput_per_s=sum(latency <= job.within_s for latency in latencies) / job.seconds,
        answered_per_s=sum(due + latency <= job.seconds for latency, due in right) / job.seconds,
        p50_ms=1000 * percentile(latencies, 0.5),
        p99_ms=1000 * percentile(latencies, 0.99),
        refusals={str(status): sum(sent.status == status for sent in refused) for status in statuses},
        with_retry_after=sum(b"\nretry-after:" in sent.head for sent in refused),
        refusal_p99_ms=1000 * percentile([sent.latency_s or 0.0 for sent in refused], 0.99),
        wrong=wrong,
        unanswered=len(job.arrivals) - len(right) - len(refused) - wrong,
        generator_late_p99_ms=1000 * percentile([sent.lateness_s for sent in all_sent], 0.99),
    )


def main() -> None:
    job = Job(**json.load(sys.stdin))
    import uvloop

    print(json.dumps(asdict(figures(uvloop.run(Generator(job).run()), job))))


if __name__ == "__main__":
    main()
