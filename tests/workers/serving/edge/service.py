"""A service with a tiny application, in a thread of its own, and clients that speak to it in bytes."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvloop
from starlette.types import Receive, Scope, Send

from panopticon.metrics import Metrics
from workers.serving.edge.address import take_address
from workers.serving.edge.limits import EdgeLimits
from workers.serving.edge.refusal import refuse_early
from workers.serving.edge.server import HttpServer
from workers.serving.presence import PRESENCE
from workers.serving.problems import Problem

DEADLINE_S = 20.0
LARGE_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 1024 * 1024


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises: AssertionError naming what did not come true."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class TinyApp:
    """Reads a body, refuses one, waits, or answers at length, by the path."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.left: list[str] = []
        """Paths whose client left before it was answered."""
        self.pieces: list[int] = []
        """Sizes of the pieces in which bodies were received."""
        self.released = asyncio.Event()
        self.buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.seen.append((scope["method"], path))
        if path == "/refuse":
            await refuse_early(scope, receive, send, Problem(slug="gate-full", detail="10 of 10"))
        elif path == "/body":
            await self._read(scope, receive, send)
        elif path == "/wait":
            await self._wait(path, receive, send)
        elif path == "/present":
            await self._wait_for_leaving(scope, receive)
        elif path == "/large":
            await _answer(send, b"x" * LARGE_BYTES)
        elif path == "/stream":
            await _stream(send)
        elif path == "/headers":
            await _answer(send, b"\n".join(b"%b=%b" % header for header in scope["headers"]))
        elif path == "/client":
            await _answer(send, f"{scope['scheme']} {scope['client'][0]}".encode())
        elif path == "/inject":
            await _answer(send, b"ok", (b"x-value", b"a\r\nset-cookie: stolen=1"))
        else:
            await _answer(send, b"ok")

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = int(dict(scope["headers"]).get(b"content-length", b"0"))
        if length > MAX_BODY_BYTES:
            problem = Problem(slug="too-large", detail="the body is too large", allowed=MAX_BODY_BYTES)
            await refuse_early(scope, receive, send, problem)
            return
        received = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.append(scope["path"])
                return
            received += len(message["body"])
            self.pieces.append(len(message["body"]))
            if not message["more_body"]:
                await _answer(send, b"%d" % received)
                return

    async def _wait_for_leaving(self, scope: Scope, receive: Receive) -> None:
        """Read the body, and never receive anything again."""
        more_body = True
        while more_body:
            message = await receive()
            self.pieces.append(len(message["body"]))
            more_body = message["more_body"]
        left = asyncio.Event()
        scope[PRESENCE].watch(left.set)
        await left.wait()
        self.left.append(scope["path"])

    async def _wait(self, path: str, receive: Receive, send: Send) -> None:
        released = asyncio.create_task(self.released.wait())
        left = asyncio.create_task(_has_left(receive))
        await asyncio.wait({released, left}, return_when=asyncio.FIRST_COMPLETED)
        if released.done():
            await _answer(send, b"waited")
        else:
            self.left.append(path)
        for task in (released, left):
            task.cancel()


async def _has_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Send) -> None:
    """Answer in parts, each of which waits until the client has read the one before."""
    part = b"x" * (LARGE_BYTES // 64)
    headers = [(b"content-length", b"%d" % LARGE_BYTES)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(64):
        await send({"type": "http.response.body", "body": part, "more_body": number < 63})


class Service:
    """The service of one test."""

    def __init__(self, limits: EdgeLimits, tls: ssl.SSLContext | None = None) -> None:
        self.app = TinyApp()
        self.address = take_address("127.0.0.1", 0)
        self.server = HttpServer(self.app, self.address, limits, metrics=Metrics(), tls=tls)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.run(self.server.start())

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine in the loop of the service, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_S)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the loop of the service, and return what it returns."""

        async def called() -> Any:
            return function()

        return self.run(called())

    def refused(self, problem: str) -> int:
        """Return how many connections and requests were refused before the application saw them."""
        name = "panopticon_http_refused_total"
        registry = self.server.edge.metrics.registry
        return int(registry.get_sample_value(name, {"problem": problem}) or 0)

    def close(self) -> None:
        self.run(self.server.stop(limit_s=0.0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    @property
    def tasks(self) -> int:
        """Return the number of tasks in the loop, but for the one that counts."""
        return int(self.call(lambda: len(asyncio.all_tasks(self._loop)) - 1))

    @property
    def connections(self) -> int:
        return self.server.connections

    def connect(self, *, rcvbuf: int | None = None) -> socket.socket:
        made = socket.socket()
        made.settimeout(DEADLINE_S)
        if rcvbuf:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        try:
            made.connect(("127.0.0.1", self.address.port))
        except OSError:
            made.close()
            raise
        return made

    def still_answers(self) -> bool:
        """Return whether another client gets its answer."""
        with self.connect() as client:
            client.sendall(get("/"))
            return answer(client).status == 200


@contextmanager
def serving(limits: EdgeLimits, tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """Run a service; at the end nothing of it may be left."""
    # libuv opens a pipe for signals with the first loop of a process, and keeps it.
    uvloop.new_event_loop().close()
    files = open_files()
    service = Service(limits, tls)
    service.start()
    try:
        yield service
        wait_until(lambda: service.connections == 0, "a connection is left")
        wait_until(lambda: service.tasks == 0, "a task is left")
        assert not service.server.edge.draining, "the test stopped the server and checks it itself"
    finally:
        service.close()
    wait_until(lambda: open_files() <= files, "a file is left open")


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    return request("GET", path, *headers, version=version)


def request(method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: here", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(client: socket.socket) -> Answer:
    """Read one answer, and nothing of the next one."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = b""
    while missing := int(headers["content-length"]) - len(body):
        received = client.recv(missing)
        assert received, "the connection ended within a body"
        body += received
    return Answer(status=int(first.split()[1]), headers=headers, body=body)


def is_closed(client: socket.socket) -> bool:
    """Return whether the service has closed the connection and sent nothing more."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
