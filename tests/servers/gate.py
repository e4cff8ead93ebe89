"""An HTTP proxy on loopback that asks for TLS or a login, or refuses large requests."""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER = "ann"
PASSWORD = "open sesame/@:"


class Gate:
    """A proxy that forwards requests to one port of this machine, and their answers back."""

    def __init__(
        self, port: int, *, tls: ssl.SSLContext | None = None, login: bool = False, max_bytes: int = 2**30
    ) -> None:
        """`max_bytes`: the size of a request above which the answer is 413."""
        self.target_port = port
        self.login = login
        self.max_bytes = max_bytes
        self.requests = 0
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.gate = self
        if tls:
            self._listener.socket = tls.wrap_socket(self._listener.socket, server_side=True)

    def __enter__(self) -> Gate:
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def port(self) -> int:
        return int(self._listener.server_address[1])

    def refusal(self, headers: Any, length: int) -> int | None:
        """Return the status with which a request is refused; None if it is forwarded."""
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.login and headers.get("authorization") != f"Basic {expected}":
            return 401
        return 413 if length > self.max_bytes else None


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    gate: Gate

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that do not trust the certificate."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _pass_on(self) -> None:
        self.server.gate.requests += 1
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if status := self.server.gate.refusal(self.headers, length):
            self._answer(status, "text/plain", b"no")
            return
        inner = http.client.HTTPConnection("127.0.0.1", self.server.gate.target_port)
        inner.request(self.command, self.path, body, {"content-type": "application/json"})
        answer = inner.getresponse()
        self._answer(answer.status, answer.headers["content-type"], answer.read())
        inner.close()

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
