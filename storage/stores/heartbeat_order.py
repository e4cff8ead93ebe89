"""The order in which every store lists the processes that run."""

from __future__ import annotations

from collections.abc import Iterable

from panopticon.registry.heartbeats import Heartbeat


def running(heartbeats: Iterable[Heartbeat | None], *, now_ms: int) -> list[Heartbeat]:
    """Return those of processes that run, by role, version, host and process ID.

    None stands for a process of a kind that this release does not know.
    """
    alive = [each for each in heartbeats if each and each.is_alive(now_ms=now_ms)]
    return sorted(alive, key=lambda each: (each.role, each.version, each.host, each.pid))
