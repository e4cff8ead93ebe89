"""The heartbeat of a process: what it runs, and whether it can work."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

EVERY_S = 5.0
"""Seconds between two heartbeats of one process."""
ALIVE_S = 60.0
"""A process whose last heartbeat is older counts as gone."""


class ProcessRole(StrEnum):
    """The kinds of processes that have heartbeats."""

    WORKER = "worker"
    INDEXER = "indexer"


class ProcessState(StrEnum):
    """The states of a process."""

    STARTING = "starting"
    """Its model is being loaded."""
    READY = "ready"
    """It takes messages, if there are any."""
    PARKED = "parked"
    """It waits for a component that is down."""
    ENDED = "ended"
    """It has ended by itself, or was stopped in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The latest state of one process. Host and process ID identify it."""

    host: str
    pid: int
    role: ProcessRole
    version: str = ""
    """The model version of a worker, such as `tagger@1`; empty for an indexer."""
    digest: str = ""
    engine: str = ""
    """The engine of a worker's model, such as `litert`; empty until the model is loaded."""
    state: ProcessState
    component: str = ""
    """The component for which it is parked: store, queue, search, source or model."""
    reason: str = ""
    """The reason why it is parked, or else a remark, such as that images cannot be fetched."""
    since_ms: int
    """The time from which on it has been in this state, for this component."""
    images_per_s: float = 0.0
    """Worker: images stored or dead per second since its last heartbeat. Indexer: messages per second."""
    started_at_ms: int
    at_ms: int
    """The time of this heartbeat, by the clock of its host."""

    @property
    def place(self) -> str:
        """Return host and process ID, such as `gpu-7:4711`."""
        return f"{self.host}:{self.pid}"

    @property
    def works_on(self) -> str:
        """Return the version, or else the role."""
        return self.version or self.role.value

    def is_alive(self, *, now_ms: int) -> bool:
        """Return whether the process runs, as far as is known.

        A heartbeat that lies in the future by more than `ALIVE_S` is void: the clock was set back since, and
        a process that still runs has written another.
        """
        return self.state is not ProcessState.ENDED and abs(now_ms - self.at_ms) <= ALIVE_S * 1000


def encode_heartbeat(heartbeat: Heartbeat) -> str:
    """Encode a heartbeat as JSON."""
    return json.dumps(asdict(heartbeat), ensure_ascii=False, separators=(",", ":"))


def decode_heartbeat(text: str) -> Heartbeat | None:
    """Decode a heartbeat of this release, an older one or a newer one, whose further fields are ignored.

    None if its role or state is one that only a newer release knows.
    """
    known = {field.name for field in fields(Heartbeat)}
    values = {name: value for name, value in json.loads(text).items() if name in known}
    if values["role"] not in set(ProcessRole) or values["state"] not in set(ProcessState):
        return None
    return Heartbeat(
        **{**values, "role": ProcessRole(values["role"]), "state": ProcessState(values["state"])}
    )
