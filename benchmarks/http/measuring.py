"""One server under all loads: started, measured, stopped."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.http.answers import seems_right
from benchmarks.http.contestants import GATE, Peer, Variant, our_command
from benchmarks.http.ideal_queue import ideal_latencies, percentile, poisson_arrivals
from benchmarks.http.open_loop import Job, OpenLoop
from benchmarks.http.peers.config import PeerConfig
from benchmarks.http.peers.model import read_steps
from benchmarks.http.processes import ServerError, ServerProcess, clean_environ, free_port
from benchmarks.http.requests import Target
from benchmarks.http.wrk import ClosedLoop, Wrk

ROOT = Path(__file__).parents[2]
CLIENTS = (1, 8, 64)
LOADS = (0.8, 1.0, 2.0)
"""Shares of the capacity that open loops offer."""
WITHIN_S = 1.0
CONNECTIONS = 4096
REPORT_S = 1.5
"""A model process of this service reports its CPU each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model, what is sent to it, and what it must answer."""

    model: str
    card: Path
    models_dir: Path | None
    cache_dir: Path
    pictures: tuple[bytes, ...]
    expected: tuple[Mapping[str, Any], ...]
    max_batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Seconds of each part of a round."""

    warm_up_s: float
    closed_s: float
    open_s: float
    drain_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A closed loop and what it cost."""

    images_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_ms: float
    """CPU of all processes of the server for one image."""
    steps_ms: float
    """The part of it that is decoding and the model."""

    @property
    def serving_ms(self) -> float:
        """The part of it that is anything else: HTTP and coordination."""
        return self.cpu_ms - self.steps_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """An open loop, and the ideal queue for the same arrivals."""

    figures: OpenLoop
    service_ms: float
    ideal_p50_ms: float
    ideal_p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Everything measured of one server between its start and its end."""

    start_s: float
    closed: Mapping[int, Closed]
    open: Mapping[float, Open]
    memory_mb: float
    processes: int

    @property
    def capacity_per_s(self) -> float:
        return max(closed.images_per_s for closed in self.closed.values())


class RunningServer:
    """One server with one model, ready for requests."""

    def __init__(self, process: ServerProcess, *, target: Target, steps_s: Callable[[], float]) -> None:
        self.process = process
        self.target = target
        self._steps_s = steps_s

    def costs(self) -> tuple[float, float]:
        """Return CPU seconds so far: of all processes, and of decoding and the model."""
        return self.process.cpu_s(), self._steps_s()


class Bench:
    """Starts servers of one model and puts load on them."""

    def __init__(self, subject: Subject, *, folder: Path, cores: int) -> None:
        self._subject = subject
        self._folder = folder
        self._cores = cores
        self._wrk = Wrk(folder)
        self._started = 0

    def start_ours(self, variant: Variant) -> RunningServer:
        """Start this service. Raises: ServerError."""
        folder = self._new_folder()
        command = our_command(
            sys.executable,
            variant,
            folder=folder,
            cache_dir=self._subject.cache_dir,
            models_dir=self._subject.models_dir,
            model=self._subject.model,
        )
        process = self._process(command, folder=folder, environ=clean_environ())
        try:
            target = Target(
                port=process.wait_for_port(), path=f"/v1/analyze?models={self._subject.model}", upload="raw"
            )
            self._check(process, target, folder)
        except BaseException:
            process.stop()
            raise
        return RunningServer(process, target=target, steps_s=lambda: _our_steps_s(target.port))

    def start_peer(self, peer: Peer, interpreter: Path, variant: Variant) -> RunningServer:
        """Start a peer. Raises: ServerError."""
        folder = self._new_folder()
        steps = folder / "steps"
        steps.mkdir()
        config = PeerConfig(
            card=str(self._subject.card),
            cache_dir=str(self._subject.cache_dir),
            steps_dir=str(steps),
            port=free_port(),
            processes=variant.processes,
            threads=variant.threads,
            max_batch=variant.max_batch,
            capacity=GATE,
            fast_queue=variant.fast_queue,
        )
        places = {
            "BENTOML_HOME": str(folder / "bentoml"),
            "PATH": f"{interpreter.parent}:{os.environ['PATH']}",
        }
        environ = clean_environ(**config.environ(), **dict(peer.environ), **places)
        command = [str(interpreter), *peer.arguments(config)]
        process = self._process(command, folder=folder, environ=environ, own_network=peer.own_network)
        target = Target(port=config.port, path=peer.path, upload=peer.upload)
        try:
            self._check(process, target, folder)
        except BaseException:
            process.stop()
            raise
        return RunningServer(process, target=target, steps_s=lambda: read_steps(steps))

    def closed(self, server: RunningServer, *, clients: int, seconds: float) -> Closed:
        """Measure a closed loop."""
        before = server.costs()
        figures = self._run_wrk(server, clients=clients, seconds=seconds)
        after = server.costs()
        answered = max(figures.requests - figures.not_2xx, 1)
        cpu_s, steps_s = (then - earlier for then, earlier in zip(after, before, strict=True))
        return Closed(
            images_per_s=figures.images_per_s,
            p50_ms=figures.p50_ms,
            p99_ms=figures.p99_ms,
            failed=figures.not_2xx + figures.socket_errors + figures.timeouts,
            cpu_ms=1000 * cpu_s / answered,
            steps_ms=1000 * steps_s / answered,
        )

    def warm_up(self, server: RunningServer, *, seconds: float) -> None:
        self._run_wrk(server, clients=2 * self._cores, seconds=seconds)

    def open(
        self, server: RunningServer, *, capacity_per_s: float, load: float, lengths: Lengths, seed: int
    ) -> Open:
        """Measure an open loop, and what an ideal queue of as many servers as cores would do."""
        arrivals = poisson_arrivals(per_s=load * capacity_per_s, seconds=lengths.open_s, seed=seed)
        pictures = [self._folder / f"{number}.jpg" for number in range(len(self._subject.pictures))]
        for path, picture in zip(pictures, self._subject.pictures, strict=True):
            path.write_bytes(picture)
        job = Job(
            port=server.target.port,
            path=server.target.path,
            upload=server.target.upload,
            pictures=tuple(map(str, pictures)),
            expected=self._subject.expected,
            arrivals=tuple(arrivals),
            seconds=lengths.open_s,
            connections=CONNECTIONS,
            within_s=WITHIN_S,
            drain_s=lengths.drain_s,
        )
        done = subprocess.run(
            [*server.process.prefix, sys.executable, "-m", "benchmarks.http.open_loop"],
            input=json.dumps(asdict(job)),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        if done.returncode:
            raise RuntimeError(f"the open loop ended with {done.returncode}: {done.stderr[-1000:]}")
        service_s = self._cores / capacity_per_s
        ideal = ideal_latencies(arrivals, service_s=service_s, servers=self._cores)
        return Open(
            figures=OpenLoop(**json.loads(done.stdout)),
            service_ms=1000 * service_s,
            ideal_p50_ms=1000 * percentile(ideal, 0.5),
            ideal_p99_ms=1000 * percentile(ideal, 0.99),
        )

    def round(self, start: Callable[[], RunningServer], lengths: Lengths, *, seed: int) -> Round:
        """Start a server, measure it under every load, and stop it. Raises: ServerError."""
        begun_s = time.monotonic()
        server = start()
        try:
            start_s = time.monotonic() - begun_s
            self.warm_up(server, seconds=lengths.warm_up_s)
            closed = {
                clients: self.closed(server, clients=clients, seconds=lengths.closed_s) for clients in CLIENTS
            }
            memory_mb, processes = server.process.memory_mb(), len(server.process.tree())
            measured = Round(
                start_s=start_s, closed=closed, open={}, memory_mb=memory_mb, processes=processes
            )
            opened = {}
            for load in LOADS:
                opened[load] = self.open(
                    server, capacity_per_s=measured.capacity_per_s, load=load, lengths=lengths, seed=seed
                )
            return replace(measured, open=opened)
        finally:
            server.process.stop()

    def _run_wrk(self, server: RunningServer, *, clients: int, seconds: float) -> ClosedLoop:
        return self._wrk.run(
            server.target,
            self._subject.pictures,
            clients=clients,
            seconds=seconds,
            prefix=server.process.prefix,
        )

    def _check(self, process: ServerProcess, target: Target, folder: Path) -> None:
        """Raise ServerError unless the server answers rightly, and on loopback only."""
        answer = process.wait_for_answer(target, self._subject.pictures[0], folder / "first.body")
        process.refuse_wide_binding()
        if not seems_right(answer, self._subject.expected[0]):
            raise ServerError(f"it gave a wrong answer: {answer[:500]!r}")

    def _process(
        self, command: Sequence[str], *, folder: Path, environ: Mapping[str, str], own_network: bool = False
    ) -> ServerProcess:
        process = ServerProcess(
            command,
            environ={**environ, "PYTHONPATH": str(ROOT)},
            log=folder / "log",
            cwd=folder,
            own_network=own_network,
        )
        process.start()
        return process

    def _new_folder(self) -> Path:
        self._started += 1
        folder = self._folder / f"server-{self._started}"
        folder.mkdir()
        return folder


def _our_steps_s(port: int) -> float:
    """Return the CPU seconds of fetch, decode and run, once the model process has reported the last ones."""
    time.sleep(REPORT_S)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    steps = [
        sample.value
        for sample in samples
        if sample.name == "panopticon_model_cpu_seconds_total" and sample.labels.get("step") != "process"
    ]
    return sum(steps) if steps else math.nan
