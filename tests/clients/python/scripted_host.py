"""A small real HTTP server that answers by a script, in place of one host of a deployment."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANALYSIS = {
    "image": {"sha256": "ab" * 32, "bytes": 3, "width_px": 4, "height_px": 5},
    "models": {
        "tagger@1": {
            "model": "tagger",
            "version": 1,
            "digest": "d1",
            "engine": "litert",
            "libraries": {"numpy": "2.4.6"},
            "policy_number": 0,
            "tags": [{"label": "cat", "probability": 0.75, "ancestors": ["animal"]}],
            "vector": [0.25, 0.75],
        },
        "quality@2": {"error": {"type": "/v1/problems/model-down", "title": "down", "status": 503}},
    },
}
DRIP_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request that a host has received."""

    method: str
    path: str
    headers: Any
    body: bytes
    peer_port: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _scripted(self) -> None:
        host = self.server.host
        behaviour = host.next_behaviour()
        if getattr(behaviour, "before_the_body", False):
            body = b""
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        received = Received(
            method=self.command,
            path=self.path,
            headers=self.headers,
            body=body,
            peer_port=self.client_address[1],
        )
        host.received.append(received)
        behaviour(self)

    do_GET = do_POST = _scripted  # noqa: N815

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        sent = {"Content_Type": "application/json", "Content_Length": str(len(content)), **headers}
        for name, value in sent.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


Behaviour = Callable[[_Handler], None]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    host: ScriptedHost

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that disconnect."""


class ScriptedHost:
    """A host that behaves as the script says, one behaviour a request; then it answers an analysis."""

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._script = deque(script)
        self._lock = threading.Lock()
        self._tls = tls
        self.otherwise: Behaviour = says(200, ANALYSIS)
        self.received: list[Received] = []
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.host = self
        if tls:
            self._listener.socket = tls.wrap_socket(self._listener.socket, server_side=True)

    def __enter__(self) -> ScriptedHost:
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.server_address[1]}"

    def then(self, *script: Behaviour) -> None:
        """Behave so next."""
        with self._lock:
            self._script.extend(script)

    def next_behaviour(self) -> Behaviour:
        with self._lock:
            return self._script.popleft() if self._script else self.otherwise


def says(status: int, value: object, **headers: str) -> Behaviour:
    """Answer with JSON."""
    content = json.dumps(value).encode()
    return lambda handler: handler.answer(status, content, **headers)


def refuses(status: int, *, slug: str = "problem", **members: object) -> Behaviour:
    """Answer with a problem document; with `retry_after_ms` also with the header, rounded up."""
    value = {"type": f"/v1/problems/{slug}", "title": slug, "status": status, **members}
    wait_ms = members.get("retry_after_ms")
    headers = {"Retry_After": str(-(-int(str(wait_ms)) // 1000))} if wait_ms is not None else {}
    return says(status, value, **headers)


def lists(*hosts: str, max_age_s: float = 60) -> Behaviour:
    return says(200, {"hosts": hosts, "max_age_s": max_age_s})


def busy_before_the_body(handler: _Handler) -> None:
    """Answer 429 as soon as the headers are there, read no byte of the body, and close."""
    handler.answer(429, b"{}", Connection="close")
    handler.close_connection = True


busy_before_the_body.before_the_body = True  # type: ignore[attr-defined]


def resets(handler: _Handler) -> None:
    """Reset the connection without an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


def halves(handler: _Handler) -> None:
    """Send half of an answer, and close."""
    handler.answer(200, b'{"image"', Content_Length="100")
    handler.close_connection = True


def hangs(handler: _Handler) -> None:
    """Say nothing until the client has disconnected."""
    handler.connection.recv(1)
    handler.close_connection = True


def drips_headers(handler: _Handler) -> None:
    """Send a header byte by byte without end, so that no single read takes long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler)


def drips_body(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    _drip(handler)


def _drip(handler: _Handler) -> None:
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(DRIP_S)
