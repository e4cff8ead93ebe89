"""The HTTP interface of a RabbitMQ node, as far as tests need it."""

from __future__ import annotations

import http.client
import json
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit


class Management:
    """A client of that interface, which opens a connection for each request."""

    def __init__(self, url: str) -> None:
        """`url`: with user and password in it."""
        split = urlsplit(url)
        self._host, self._port = split.hostname or "", split.port or 15672
        login = f"{unquote(split.username or '')}:{unquote(split.password or '')}".encode()
        self._headers = {
            "Authorization": f"Basic {b64encode(login).decode()}",
            "Content-Type": "application/json",
        }

    @property
    def url(self) -> str:
        """The URL without user and password."""
        return f"http://{self._host}:{self._port}"

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request; return the answer's JSON. Raises: RuntimeError if it is refused."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request(
                method, path, body=None if body is None else json.dumps(body), headers=self._headers
            )
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if content else None

    @contextmanager
    def virtual_host(self) -> Iterator[str]:
        """Yield the name of a new virtual host, which is deleted after the block."""
        name = f"test-{secrets.token_hex(4)}"
        self.ask("PUT", f"/api/vhosts/{name}")
        try:
            yield name
        finally:
            self.ask("DELETE", f"/api/vhosts/{name}")

    def queues(self, vhost: str) -> dict[str, tuple[int, int]]:
        """Return the numbers of ready and of unacknowledged messages by queue, from the node's last count."""
        totals = "disable_stats=true&enable_queue_totals=true"
        rows = self.get(f"/api/queues/{quote(vhost, safe='')}?{totals}")
        return {
            row["name"]: (row.get("messages_ready", 0), row.get("messages_unacknowledged", 0)) for row in rows
        }

    def connections(self, vhost: str) -> list[str]:
        return [row["name"] for row in self.get("/api/connections") if row.get("vhost") == vhost]

    def close_connections(self, vhost: str) -> None:
        """Close every connection to a virtual host, as an operator does."""
        for name in self.connections(vhost):
            self.ask("DELETE", f"/api/connections/{quote(name, safe='')}")
