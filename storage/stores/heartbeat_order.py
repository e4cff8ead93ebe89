"""The order in which every store lists the processes that run."""

from __future__ import annotations

from collections.abc import Iterable

from panopticon.registry.heartbeats import Heartbeat


def running(heartbeats: Iterable[Heartbeat], *, now_ms: int) -> list[Heartbeat]:
    """Return those of processes that run, by role, version, host and process ID."""
    alive = [each for each in heartbeats if each.is_alive(now_ms=now_ms)]
    return sorted(alive, key=lambda each: (each.role, each.version, each.host, each.pid))
