"""The servers that are compared: how each is started, and which settings it is tried with.

A peer gets the settings with which it does best in this run, among those listed here. Engines are alike:
each has one thread, and there is at most one for each core, in one process or in several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.http.peers.config import PeerConfig
from benchmarks.http.requests import Upload

GATE = 80
"""Requests that a server with a limit admits at once: more than the largest closed loop has."""
OURS = "panopticon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to configure a peer."""

    processes: int
    threads: int
    max_batch: int
    fast_queue: bool = False

    def __str__(self) -> str:
        parts = [f"{self.processes} × {self.threads}", f"batch {self.max_batch}"]
        return ", ".join([*parts, *(["fast queue"] if self.fast_queue else [])])


class Ways(Protocol):
    """The ways to configure a peer for a number of cores and the largest batch of an engine."""

    def __call__(self, *, cores: int, batch: int) -> Sequence[Variant]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One server other than ours."""

    name: str
    upload: Upload
    path: str
    ways: Ways
    arguments: Callable[[PeerConfig], list[str]]
    """The arguments of its interpreter."""
    limits: str
    """The limit of what it admits."""
    why: str
    """The reason for which the ways are its best fair settings."""
    environ: tuple[tuple[str, str], ...] = ()
    own_network: bool = False
    """It listens beyond loopback by itself, so that it gets a network that has nothing else."""


def _workers_with_and_without_batches(*, cores: int, batch: int) -> list[Variant]:
    return _distinct(
        Variant(processes=processes, threads=1, max_batch=max_batch)
        for max_batch in (1, batch)
        for processes in (cores, 1)
    )


def _litserve(*, cores: int, batch: int) -> list[Variant]:
    return _distinct(
        [
            *_workers_with_and_without_batches(cores=cores, batch=batch),
            Variant(processes=cores, threads=1, max_batch=1, fast_queue=True),
            Variant(processes=cores, threads=1, max_batch=batch, fast_queue=True),
        ]
    )


def _processes_or_threads(*, cores: int, batch: int) -> list[Variant]:  # noqa: ARG001
    pairs = [(cores, 1), (1, cores), (1, 1)]
    return _distinct(Variant(processes=one, threads=two, max_batch=1) for one, two in pairs)


def _distinct(variants: Iterable[Variant]) -> list[Variant]:
    """Return the variants without those that are the same on one core, or with batches of one."""
    return list(dict.fromkeys(variants))


PEERS = (
    Peer(
        name="mosec",
        upload="raw",
        path="/inference",
        ways=_workers_with_and_without_batches,
        arguments=lambda config: [
            *("-m", "benchmarks.http.peers.mosec_app", "--address", "127.0.0.1"),
            *("--port", str(config.port), "--capacity", str(config.capacity)),
            *("--timeout", "60000", "--log-level", "warning"),
        ],
        limits=f"--capacity {GATE}",
        why="its batches hold requests back for at least 1 ms, so that none is tried too",
    ),
    Peer(
        name="litserve",
        upload="multipart",
        path="/analyze",
        ways=_litserve,
        arguments=lambda _: ["-m", "benchmarks.http.peers.litserve_app"],
        limits="none",
        why="one API server, since more share no queue; both of its queues are tried; it takes no raw body",
    ),
    Peer(
        name="fastapi",
        upload="raw",
        path="/analyze",
        ways=_processes_or_threads,
        arguments=lambda _: ["-m", "benchmarks.http.peers.fastapi_app"],
        limits="none",
        why="a plain route gathers no batches; a process for each core, or threads in one process",
    ),
    Peer(
        name="bentoml",
        upload="raw",
        path="/analyze",
        ways=_processes_or_threads,
        arguments=lambda config: [
            *("-m", "bentoml", "serve", "benchmarks.http.peers.bentoml_app:Analyze"),
            *("--host", "127.0.0.1", "--port", str(config.port)),
        ],
        limits=f"max_concurrency {GATE}",
        why="without batches, which it forms only of lists and not of bodies; access log off",
        environ=(("BENTOML_DO_NOT_TRACK", "True"), ("DO_NOT_TRACK", "1")),
    ),
    Peer(
        name="ray",
        upload="raw",
        path="/analyze",
        ways=_workers_with_and_without_batches,
        arguments=lambda _: ["-m", "benchmarks.http.peers.ray_app"],
        limits=f"max_ongoing_requests {GATE} in all, max_queued_requests {GATE // 2}",
        why="a replica for each core, with and without batches; no dashboard",
        environ=(("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_DISABLE_IMPORT_WARNING", "1")),
        own_network=True,
    ),
)


def our_ways(*, cores: int, batch: int) -> Sequence[Variant]:
    """Return the ways in which this service is tried: its defaults, and a model process for each core."""
    pairs = [(1, cores), (cores, 1)]
    return _distinct(Variant(processes=one, threads=two, max_batch=batch) for one, two in pairs)


def our_command(
    interpreter: str,
    variant: Variant,
    *,
    folder: Path,
    cache_dir: Path,
    models_dir: Path | None,
    model: str,
) -> list[str]:
    """Return the command that starts this service with one model, on a free port."""
    settings = [f"gate={GATE}", "http_port=0", "drain_s=0.1", f"cache_dir={cache_dir}"]
    settings += [f"replicas={variant.processes}", f"threads={variant.threads}"]
    settings += [f"models_dir={models_dir}"] if models_dir else []
    options = [word for setting in settings for word in ("--set", setting)]
    database = f"sqlite:///{folder / 'panopticon.db'}"
    command = [interpreter, "-m", "workers.cli.main", "--database", database, *options]
    return [*command, "serve", "--only-http", "--model", model]
