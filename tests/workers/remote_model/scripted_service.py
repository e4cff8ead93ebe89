"""A scripted stand-in for the HTTP service: it answers what a test tells it to, and keeps every request.

The real service is met by `test_contract.py` and `test_faults.py`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from panopticon.cards.cards import ModelCard

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer."""

    status: int = 200
    content: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    """Close the connection in place of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def uri(self) -> str:
        return str(json.loads(self.body)["uri"])


def problem(status: int, slug: str, **fields: Any) -> Scripted:
    content = {"type": f"/v1/problems/{slug}", "title": slug, "status": status, **fields}
    return Scripted(status=status, content=content, headers={"Content-Type": PROBLEM})


class ScriptedService:
    """The server. `describe` and `analyze` may be replaced at any time; they run in its threads."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.requests: list[Received] = []
        self.connections = 0
        self.describe: Callable[[], Scripted] = self.ready
        self.analyze: Callable[[Received], Scripted] = lambda _: self.ran()
        self._server: _Server | None = None
        self._port = 0

    def __enter__(self) -> ScriptedService:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, after a `stop` on the same port."""
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.service = self
        self._port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._server is not None:
            for connection in self._server.accepted:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def ready(self, **fields: Any) -> Scripted:
        """The description of the model as the service has it, with other values for these fields."""
        described = {
            "name": str(self.card.version_name),
            "digest": self.card.digest,
            "state": "ready",
            "reason": "",
            "engine": "null",
            "libraries": "numpy 2",
            "dim": len(self.card.labels),
            "best_batch": 2,
            "ready_replicas": 1,
            "gate": {"max_images": 64},
        }
        return Scripted(content={**described, **fields})

    def ran(self, **fields: Any) -> Scripted:
        """The answer about one image, with other values for these fields of the model's answer."""
        answer = {
            "digest": self.card.digest,
            "engine": "null",
            "libraries": "numpy 2",
            "vector": [0.1, 0.2, 0.3],
            **fields,
        }
        image = {"sha256": "5" * 64, "width_px": 4, "height_px": 3}
        return Scripted(content={"image": image, "models": {str(self.card.version_name): answer}})

    @property
    def analyses(self) -> list[Received]:
        return [request for request in self.requests if request.method == "POST"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    service: ScriptedService

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.accepted: list[socket.socket] = []

    def get_request(self) -> tuple[Any, Any]:
        self.service.connections += 1
        connection, address = super().get_request()
        self.accepted.append(connection)
        return connection, address

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that break off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._received(b"")
        self._answer(self.server.service.describe())

    def do_POST(self) -> None:
        request = self._received(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.server.service.analyze(request))

    def _received(self, body: bytes) -> Received:
        request = Received(method=self.command, path=self.path, headers=dict(self.headers), body=body)
        self.server.service.requests.append(request)
        return request

    def _answer(self, answer: Scripted) -> None:
        if answer.hang_up:
            self.close_connection = True
            return
        body = json.dumps(answer.content).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
