"""The settings that a peer gets from the benchmark, through one environment variable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

VARIABLE = "BENCHMARK_PEER"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """One server of one model."""

    card: str
    """Path of the model's card."""
    cache_dir: str
    steps_dir: str
    """Folder in which each process counts the CPU time of the model's own steps."""
    port: int
    processes: int
    """Processes that hold the model."""
    threads: int
    """Threads of each of them that run the model, each with an engine of its own."""
    max_batch: int
    capacity: int
    """Requests that the server admits at once, if it has a limit."""
    fast_queue: bool = False
    """LitServe's queue over ZeroMQ, in place of that of multiprocessing."""

    def environ(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def read_config(environ: Mapping[str, str] = os.environ) -> PeerConfig:
    return PeerConfig(**json.loads(environ[VARIABLE]))
