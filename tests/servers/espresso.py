"""The real HTTP service as a process, with the null model, and a small client of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from panopticon.settings import Settings
from tests.program import PROGRAM, environ_of
from tests.servers.ports import free_ports
from tests.servers.process import ServerProcess, wait_until

MODELS = Path(__file__).parents[1] / "models"
GATE = 8
COUNTED = re.compile(r'^panopticon_http_requests_total\{.*route="/v1/analyze".*\} ([\d.]+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, path: str, body: bytes | None = None, *, method: str = "", headers: Mapping[str, str] = {}
) -> Answer:
    """Send one request on a connection of its own; a POST if there is a body and no other method is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        return ask_on(connection, path, body, method=method, headers=headers)
    finally:
        connection.close()


def ask_on(
    connection: http.client.HTTPConnection,
    path: str,
    body: bytes | None = None,
    *,
    method: str = "",
    headers: Mapping[str, str] = {},
) -> Answer:
    """Send one request on this connection, which is opened if it is closed."""
    kind = {"Content-Type": "application/octet-stream"} if body is not None else {}
    connection.request(method or ("GET" if body is None else "POST"), path, body, {**kind, **headers})
    answer = connection.getresponse()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(status=answer.status, headers=names, body=answer.read())


class EspressoHost(ServerProcess):
    """One host that serves null@1, always on the same port."""

    START_S = 60.0

    def __init__(self, home: Path, *, drain_s: float) -> None:
        super().__init__(home)
        (self.port,) = free_ports(1)
        self._settings = Settings(
            database=f"sqlite:///{home}/panopticon.db",
            models_dir=MODELS,
            http_port=self.port,
            gate=GATE,
            drain_s=drain_s,
        )

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and return at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        assert self._process is not None
        return self._process.wait(self.STOP_S)

    def analyzed(self) -> int:
        """Return how many requests for images it has answered since it was started."""
        text = ask(self.port, "/metrics").body.decode()
        return sum(int(float(number)) for number in COUNTED.findall(text))

    @contextmanager
    def full(self) -> Iterator[None]:
        """Take every place of the gate, by requests whose bodies do not arrive before the block ends."""
        head = b"POST /v1/analyze HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"
        with ExitStack() as opened:
            for _ in range(GATE):
                client = socket.create_connection(("127.0.0.1", self.port))
                opened.enter_context(client).sendall(head)
            wait_until(lambda: self._places() == GATE, "a full gate", limit_s=20)
            yield
        wait_until(lambda: self._places() == 0, "an empty gate", limit_s=20)

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Hold its model process still, so that requests reach their deadline."""
        assert self._process is not None
        models = psutil.Process(self._process.pid).children()
        for model in models:
            model.suspend()
        try:
            yield
        finally:
            for model in models:
                model.resume()

    def _places(self) -> int:
        return int(ask(self.port, "/v1/models/null@1").json()["gate"]["images"])

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [*PROGRAM, "serve", "--only-http", "--model", "null@1"]
        return self._spawn(command, {**environ_of(self._settings), "PYTHONPATH": os.getcwd()})

    def _answers(self) -> bool:
        try:
            return ask(self.port, "/health/ready").status == 200
        except OSError:
            return False
