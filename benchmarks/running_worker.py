"""A real worker process on a fresh SQLite file, with measurements of it from outside."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from panopticon.interfaces import Broker
from panopticon.messages import ImageMessage, Lane, encode
from panopticon.results.outputs import VersionName
from storage.originals.files import uri_of
from workers.queues import open_broker
from workers.runtime.end_with_parent import start_child

POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """CPU seconds used so far."""

    consumer_s: float
    model_process_s: float
    model_steps_s: float
    """Seconds of the model process in fetch, decode and run."""


class RunningWorker:
    """A process of `panopticon worker`, started as an operator would start it."""

    def __init__(
        self,
        version: VersionName,
        *,
        folder: Path,
        models_dir: Path | None = None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        """`places`: settings that name other servers than the SQLite file."""
        self._places = places or {}
        self._version = version
        self._folder = folder
        self._models_dir = models_dir
        self._port = _free_port()

    def start(self) -> None:
        """Start the worker and wait until its model process has passed its self-test."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PANOPTICON_")}
        options = ["--database", self.database]
        options += [word for key, value in self._places.items() for word in ("--set", f"{key}={value}")]
        if self._models_dir is not None:
            options += ["--set", f"models_dir={self._models_dir}"]
        work = ["worker", "--model", str(self._version), "--metrics-port", str(self._port)]
        self._process = start_child("workers.cli.main", [*options, *work], env=environ)
        self._queue = self.broker.model_queue(self._version)
        while self._steps() is None:
            if self._process.poll() is not None:
                raise RuntimeError(f"the worker ended with {self._process.returncode}")
            time.sleep(0.05)

    @property
    def database(self) -> str:
        return f"sqlite:///{self._folder / 'bench.db'}"

    @cached_property
    def broker(self) -> Broker:
        return open_broker(self._places.get("broker", self.database))

    def run(self, photos: Sequence[Path]) -> float:
        """Submit the photos and return the seconds until the last ack."""
        bodies = [
            encode(
                ImageMessage(
                    image_id=f"{time.monotonic_ns()}-{path.name}", image_uri=uri_of(os.fsencode(path))
                )
            )
            for path in photos
        ]
        begun_s = time.perf_counter()
        self._queue.submit(bodies, Lane.LIVE)
        while sum(depth.total for depth in self._queue.depth().values()):
            time.sleep(POLL_S)
        return time.perf_counter() - begun_s

    def cpu(self) -> CpuTimes:
        """Return the CPU times, after waiting for the report that the model process makes each second."""
        time.sleep(1.5)
        steps = self._steps() or {}
        consumer = psutil.Process(self._process.pid).cpu_times()
        return CpuTimes(
            consumer_s=consumer.user + consumer.system,
            model_process_s=steps["process"],
            model_steps_s=steps["fetch"] + steps["decode"] + steps["run"],
        )

    def memory_bytes(self) -> dict[str, int]:
        """Return the unique resident memory of both processes."""
        consumer = psutil.Process(self._process.pid)
        (child,) = consumer.children()
        return {
            "consumer": consumer.memory_full_info().uss,
            "model_process": child.memory_full_info().uss,
        }

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self.broker.close()

    def _steps(self) -> dict[str, float] | None:
        """Return the CPU seconds of the model process by step; None before its first report."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as answer:
                families = text_string_to_metric_families(answer.read().decode())
        except OSError:
            return None
        samples = [sample for family in families for sample in family.samples]
        used = [sample for sample in samples if sample.name == "panopticon_model_cpu_seconds_total"]
        return {sample.labels["step"]: sample.value for sample in used} or None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
