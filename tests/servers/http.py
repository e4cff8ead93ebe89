"""A web server on loopback that serves originals, and can misbehave in many ways."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

DRIP_S = 0.05
Behaviour = Callable[["_Handler"], None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        self.server.owner.requests.append(self)
        path = urlsplit(self.path).path
        behaviour = self.server.owner.behaviours.get(path)
        if behaviour is not None:
            behaviour(self)
            return
        content = self.server.owner.files.get(unquote_to_bytes(path))
        self.answer(404, b"no such file") if content is None else self.answer(200, content)

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    owner: HttpServer

    def get_request(self) -> tuple[Any, Any]:
        self.owner.connections += 1
        return super().get_request()

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that disconnect, which tests make them do."""


class HttpServer:
    """A server of files, by path, and of behaviours, by path."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._host = host
        self._tls = tls
        self._listener: _Listener | None = None
        self.files: dict[bytes, bytes] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[_Handler] = []
        self.connections = 0

    def __enter__(self) -> HttpServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        assert self._listener is not None
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    def start(self) -> None:
        self._listener = _Listener((self._host, 0), _Handler)
        self._listener.owner = self
        if self._tls:
            self._listener.socket = self._tls.wrap_socket(self._listener.socket, server_side=True)
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        assert self._listener is not None
        self._listener.shutdown()
        self._listener.server_close()

    def place(self, name: str, content: bytes) -> str:
        """Serve a file; return its URL."""
        self.files[b"/" + name.encode()] = content
        return f"{self.url}/{quote(name)}"

    def behave(self, path: str, behaviour: Behaviour) -> str:
        """Answer at a path with `behaviour`; return the URL."""
        self.behaviours[path] = behaviour
        return self.url + path


def status(number: int, content: bytes = b"", **headers: str) -> Behaviour:
    return lambda handler: handler.answer(number, content, **headers)


def redirect(target: str, number: int = 302) -> Behaviour:
    return status(number, b"over there", Location=target)


def slow_drip(handler: _Handler) -> None:
    """Send a byte now and then, without end, so that no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    _drip(handler)


def slow_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler)


def _drip(handler: _Handler) -> None:
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(DRIP_S)


def says_nothing(handler: _Handler) -> None:
    """Wait until the client has disconnected."""
    handler.connection.recv(1)


def endless(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


def endless_chunks(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def announces(length: int, content: bytes) -> Behaviour:
    """Return a behaviour that announces this length, sends other content, and disconnects."""

    def answer(handler: _Handler) -> None:
        handler.answer(200, content, Content_Length=str(length))
        handler.close_connection = True

    return answer


def reset(handler: _Handler) -> None:
    """Send half of an answer, and reset the connection."""
    handler.answer(200, b"half", Content_Length="8")
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


def once(first: Behaviour, later: Behaviour) -> Behaviour:
    """Answer the first request in one way, and all others in another."""
    behaviours = iter([first])
    return lambda handler: next(behaviours, later)(handler)


def hangs_up(handler: _Handler) -> None:
    handler.close_connection = True


def no_http(handler: _Handler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.close_connection = True


def gzip_bomb(unpacked_bytes: int) -> Behaviour:
    return status(200, gzip.compress(b"\0" * unpacked_bytes), Content_Encoding="gzip")
