"""The real HTTP service as a process, and a small client of it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from panopticon.settings import Settings
from tests.program import start
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


class ServiceProcess(ServerProcess):
    """`panopticon serve` with some models, always on the same port of 127.0.0.1."""

    START_S = 60.0

    def __init__(
        self, home: Path, *models: str, words: Sequence[str] = ("--only-http",), **settings: Any
    ) -> None:
        """`words`: of the command, before its models."""
        super().__init__(home)
        # A test may have several services in one folder, one after the other.
        self.log = home / f"service-{time.monotonic_ns()}.log"
        self.settings = Settings.model_validate(
            {
                "database": f"sqlite:///{home / 'service.db'}",
                "cache_dir": home / "cache",
                "models_dir": MODELS,
                "http_port": free_ports(1)[0],
                "drain_s": 0.2,
                "park_max_s": 1,
                **settings,
            }
        )
        self.settings.cache_dir.mkdir(exist_ok=True)
        self.port = self.settings.http_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = ("serve", *words, *(word for model in models for word in ("--model", model)))

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was started, and neither stopped nor killed"
        return self._process

    @property
    def logged(self) -> str:
        return self.log.read_text()

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Run it until the block ends, which begins when it listens; its models may be down."""
        process = self._process = self._launch()
        try:
            wait_until(
                lambda: "serving on " in self.logged or process.poll() is not None,
                "a service that listens",
                limit_s=self.START_S,
            )
            assert process.poll() is None, self.logged
            yield self
        finally:
            self.stop()

    def terminate(self) -> None:
        """Send SIGTERM, and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with its model processes, as the kernel does when memory is full."""
        if self._process is not None and self._process.poll() is None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            super().kill()
            for child in children:
                # It may have ended with its parent already.
                with suppress(psutil.NoSuchProcess):
                    child.kill()

    def _launch(self) -> subprocess.Popen[bytes]:
        return start(*self._command, settings=self.settings, log=self.log)

    def _answers(self) -> bool:
        try:
            return ask(self.port, "/health/ready").status == 200
        except OSError:
            return False


class EspressoHost(ServiceProcess):
    """One host that serves null@1 behind a small gate."""

    def __init__(self, home: Path, *, drain_s: float) -> None:
        super().__init__(home, "null@1", gate=GATE, drain_s=drain_s)

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        return self.process.wait(self.STOP_S)

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
        models = psutil.Process(self.process.pid).children()
        for model in models:
            model.suspend()
        try:
            yield
        finally:
            for model in models:
                model.resume()

    def _places(self) -> int:
        return int(ask(self.port, "/v1/models/null@1").json()["gate"]["images"])
