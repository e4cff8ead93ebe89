"""The rate and the remaining time of a backfill, from two readings of its record."""

from __future__ import annotations

from collections import deque

from panopticon.results.backfills import Backfill, BackfillState

WINDOW_MS = 30_000


def ids_per_s(before: Backfill | None, now: Backfill) -> float | None:
    """Return the IDs processed per second between two readings; None if it cannot be computed.

    The times are those at which the owner wrote, by its own clock, so the moments of reading do not matter.
    """
    # A backfill that was begun again has the same name, and counts from 0.
    if before is None or before.begun_at_ms != now.begun_at_ms or now.state is not BackfillState.RUNNING:
        return None
    elapsed_ms = now.heartbeat_at_ms - before.heartbeat_at_ms
    if elapsed_ms <= 0:
        return None
    return max(now.cursor - before.cursor, 0) * 1000 / elapsed_ms


def eta_s(now: Backfill, rate: float | None) -> float | None:
    """Return the seconds until the last ID is processed; None without a rate or once it has ended."""
    if now.state.ended:
        return None
    return now.left / rate if rate else None


class Recent:
    """The latest readings of one backfill, from which its rate is computed."""

    def __init__(self, *, window_ms: int = WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._snapshots: deque[Backfill] = deque()

    def add(self, now: Backfill) -> Backfill:
        """Add a reading, and return the one to compare it with: the latest a window ago, or the first."""
        self._snapshots.append(now)
        while (
            len(self._snapshots) > 2
            and now.heartbeat_at_ms - self._snapshots[1].heartbeat_at_ms >= self._window_ms
        ):
            self._snapshots.popleft()
        return self._snapshots[0]
