"""The service as a process of its own, and requests to it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.pictures import encoded, photo
from tests.servers.espresso import MODELS as MODELS
from tests.servers.espresso import ServiceProcess

PATIENCE_S = 60.0
JPEG = encoded(photo(), "JPEG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer of the service."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RunningService(ServiceProcess):
    """A service, and what tests ask it."""

    def __init__(self, home: Path, *models: str, **settings: Any) -> None:
        super().__init__(home, *models, **settings)
        self.pool = urllib3.PoolManager(maxsize=200, retries=False, timeout=PATIENCE_S)

    def get(self, path: str, **headers: str) -> Answered:
        return self.ask("GET", path, headers=headers)

    def ask(self, method: str, path: str, **options: Any) -> Answered:
        answer = self.pool.request(method, f"{self.url}{path}", **options)
        return Answered(status=answer.status, headers=answer.headers, body=answer.data)

    def analyze(self, body: bytes = JPEG, query: str = "", **headers: str) -> Answered:
        """Send one image as bytes."""
        path = f"/v1/analyze?{query}" if query else "/v1/analyze"
        return self.ask("POST", path, body=body, headers={"Content-Type": "image/jpeg", **headers})

    def upload(self, files: Sequence[tuple[str, bytes]], query: str = "") -> Answered:
        """Send images as files of a form."""
        fields = [("image", (name, content)) for name, content in files]
        return self.ask("POST", f"/v1/analyze?{query}", fields=fields)

    @contextmanager
    def at_once(
        self, number: int, body: bytes = JPEG, query: str = "", **headers: str
    ) -> Iterator[list[Future[Answered]]]:
        """Send so many requests at the same time; yield their answers to come, and wait for them."""
        with ThreadPoolExecutor(number) as threads:
            yield [threads.submit(self.analyze, body, query, **headers) for _ in range(number)]

    def model(self, name: str) -> Any:
        return self.get(f"/v1/models/{name}").json

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.get("/health/ready").status == 200, "the service is ready", self)

    def model_processes(self) -> list[int]:
        """Return the IDs of the model processes, by the log."""
        return [int(pid) for pid in re.findall(r"model process (\d+) started", self.logged)]


def wait_until(done: Callable[[], bool], what: str, service: RunningService | None = None) -> None:
    """Wait until a condition holds. Raises: AssertionError if it does not within a minute."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        said = service.logged if service else ""
        assert time.monotonic() < deadline_s, f"not in time: {what}\n{said}"
        time.sleep(0.02)


@contextmanager
def running(
    folder: Path, *models: str, words: Sequence[str] = ("--only-http",), **settings: Any
) -> Iterator[RunningService]:
    """Run the service with these models until the end of the block, ready at its beginning."""
    with listening(folder, *models, words=words, **settings) as service:
        service.wait_until_ready()
        yield service


@contextmanager
def listening(
    folder: Path, *models: str, words: Sequence[str] = ("--only-http",), **settings: Any
) -> Iterator[RunningService]:
    """Run the service as `running` does, without waiting for its models."""
    with RunningService(folder, *models, words=words, **settings).listening() as service:
        yield service
