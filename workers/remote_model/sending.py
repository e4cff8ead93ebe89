"""The images that wait to be sent, and how many are under way at once. Pure: the time is an argument."""

from __future__ import annotations

from collections import deque

from panopticon.messages import Lane
from panopticon.scheduling.batching import BACKFILL_EVERY
from panopticon.scheduling.items import Item


class Outbox:
    """Images that wait to be sent: live before backfill, each lane paused on its own."""

    def __init__(self) -> None:
        self._waiting: dict[Lane, deque[Item]] = {lane: deque() for lane in Lane}
        self._paused_until_s: dict[Lane, float] = dict.fromkeys(Lane, 0.0)
        self._live_in_a_row = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, item: Item) -> None:
        self._waiting[item.lane].append(item)

    def put_back(self, item: Item) -> None:
        """Let an image wait that was sent without success, before those of its lane that were not sent."""
        self._waiting[item.lane].appendleft(item)

    def pause(self, lane: Lane, *, until_s: float) -> None:
        """Send nothing of a lane until then. A service without room for a live image has none at all."""
        for each in (lane,) if lane is Lane.BACKFILL else Lane:
            self._paused_until_s[each] = max(self._paused_until_s[each], until_s)

    def take(self, *, now_s: float) -> Item | None:
        """Remove and return the next image to send; None while none may be sent."""
        live, backfill = (
            self._waiting[lane] if now_s >= self._paused_until_s[lane] else ()
            for lane in (Lane.LIVE, Lane.BACKFILL)
        )
        if live and not (backfill and self._live_in_a_row >= BACKFILL_EVERY - 1):
            self._live_in_a_row = self._live_in_a_row + 1 if backfill else 0
            return self._waiting[Lane.LIVE].popleft()
        self._live_in_a_row = 0
        return self._waiting[Lane.BACKFILL].popleft() if backfill else None

    def is_paused(self, lane: Lane, *, now_s: float) -> bool:
        return now_s < self._paused_until_s[lane]

    def pause_left_s(self, *, now_s: float) -> float | None:
        """Return the time until the first pause of a lane is over; None without one."""
        pauses = [until_s - now_s for until_s in self._paused_until_s.values() if until_s > now_s]
        return min(pauses, default=None)

    def clear(self) -> list[Item]:
        """Remove and return all images."""
        items = [item for waiting in self._waiting.values() for item in waiting]
        for waiting in self._waiting.values():
            waiting.clear()
        return items


class Window:
    """The number of requests under way at once: one more for each windowful of answers, half for a refusal.

    So several workers find their shares of a gate without knowing of each other.
    """

    def __init__(self) -> None:
        self._most = 1
        self._limit = 1.0
        self._cut_s = 0.0
        self._is_open = False

    @property
    def size(self) -> int:
        return int(self._limit)

    def open(self, most: int) -> None:
        """Set the greatest size, which is also the first one."""
        self._most = most
        self._limit = min(self._limit, most) if self._is_open else float(most)
        self._is_open = True

    def answered(self) -> None:
        """Record an answer."""
        self._limit = min(self._limit + 1 / self._limit, self._most)

    def refused(self, *, sent_s: float, now_s: float) -> None:
        """Record that the service had no room for a request that was sent at `sent_s`.

        Requests that were sent before the last cut say nothing about the present size.
        """
        if sent_s >= self._cut_s:
            self._limit = max(self._limit / 2, 1.0)
            self._cut_s = now_s
