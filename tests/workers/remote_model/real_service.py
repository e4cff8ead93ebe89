"""The service itself, `panopticon serve --only-http`, as a process that a test may kill and start again."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from panopticon.settings import Settings
from tests import program
from tests.servers.ports import free_ports
from tests.workers.faults.pipeline import MODELS

PATIENCE_S = 60.0


class RealService:
    """One service, on a port that stays its own."""

    def __init__(self, folder: Path, *models: str, **settings: object) -> None:
        self._models = models
        self._log = folder / "serve.log"
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._settings = Settings.model_validate(
            {
                "database": f"sqlite:///{folder / 'service.db'}",
                "cache_dir": folder / "service-cache",
                "models_dir": MODELS,
                "http_port": port,
                "drain_s": 0.1,
                **settings,
            }
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until its models are ready."""
        words = [word for model in self._models for word in ("--model", model)]
        self._process = program.start("serve", "--only-http", *words, settings=self._settings, log=self._log)
        deadline_s = time.monotonic() + PATIENCE_S
        while any(self.description(model).get("state") != "ready" for model in self._models):
            assert time.monotonic() < deadline_s, self._log.read_text()
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it and its model process, as the kernel does when memory is full."""
        if self._process is not None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            self._process.wait()
            for child in children:
                # It may have ended with its parent already.
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self._process = None

    def description(self, model: str) -> dict[str, Any]:
        """Return what the service says about a model; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/v1/models/{model}", timeout=5) as answer:
                described: dict[str, Any] = json.loads(answer.read())
                return described
        except OSError:
            return {}

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def real_service(folder: Path, *models: str, **settings: object) -> Iterator[RealService]:
    """Yield a service that is up, and is killed after the block."""
    service = RealService(folder, *models, **settings)
    try:
        service.start()
        yield service
    finally:
        service.kill()
