"""How fast a backfill goes, and when it will be done, from two readings of its record."""

from __future__ import annotations

from collections import deque

from panopticon.results.backfills import Backfill, BackfillState

WINDOW_MS = 30_000


def ids_per_s(before: Backfill | None, now: Backfill) -> float | None:
    """IDs looked at between two readings, by the second; None where they tell nothing.

    Times are those at which its runner wrote, on that process's clock: so it matters little when one reads.
    """
    if before is None or before.begun_at_ms != now.begun_at_ms or now.state is not BackfillState.RUNNING:
        return None
    elapsed_ms = now.heartbeat_at_ms - before.heartbeat_at_ms
    if elapsed_ms <= 0:
        return None
    return max(now.cursor - before.cursor, 0) * 1000 / elapsed_ms


def eta_s(now: Backfill, rate: float | None) -> float | None:
    """Seconds until the last ID was looked at, if it goes on at this rate; None without one."""
    if now.state.ended:
        return None
    return now.left / rate if rate else None


class Recent:
    """The readings of one backfill, as far back as its rate is to be told from."""

    def __init__(self, *, window_ms: int = WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._snapshots: deque[Backfill] = deque()

    def add(self, now: Backfill) -> Backfill:
        """The reading to compare this one with: the latest that is a window old, else the first."""
        self._snapshots.append(now)
        while (
            len(self._snapshots) > 2
            and now.heartbeat_at_ms - self._snapshots[1].heartbeat_at_ms >= self._window_ms
        ):
            self._snapshots.popleft()
        return self._snapshots[0]
