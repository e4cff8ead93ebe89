"""The order in which hosts are asked: in turn, the resting ones not at all, the suspected ones last."""

from __future__ import annotations

import random
import threading
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

SUSPECTED_S = 5.0
"""Seconds for which a host that did not answer is asked only if no other is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The reason for which a host gave no answer that is of use."""

    is_busy: bool
    """True for a 429: the host works, and has as much as it admits."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A time before which a host is not asked, by its own wish."""

    until_s: float
    refusal: Refusal


class Rotation:
    """The hosts of a deployment, at least one. Times are those of a monotonic clock. Safe for many threads.

    A host rests for one kind of call only: one that is full of backfills still answers live calls.
    """

    def __init__(self, urls: Iterable[str], *, random: random.Random) -> None:
        self._lock = threading.Lock()
        self._urls = tuple(dict.fromkeys(urls))
        # Clients that start together do not all begin with the first host.
        self._last = random.randrange(len(self._urls))
        self._rests: dict[tuple[str, str], Rest] = {}
        self._suspected_s: dict[str, float] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        with self._lock:
            return self._urls

    def replace(self, urls: Iterable[str]) -> None:
        """Use these hosts from now on. Those that stay keep their rests."""
        with self._lock:
            before = self._urls[self._last]
            self._urls = tuple(dict.fromkeys(urls))
            self._last = self._urls.index(before) if before in self._urls else self._last % len(self._urls)
            self._rests = {key: rest for key, rest in self._rests.items() if key[0] in self._urls}
            self._suspected_s = {url: at for url, at in self._suspected_s.items() if url in self._urls}

    def next(self, kind: str, *, tried: Container[str], now_s: float) -> str | None:
        """Return the host to ask now; None if each was tried or rests."""
        with self._lock:
            in_turn = self._urls[self._last + 1 :] + self._urls[: self._last + 1]
            free = [url for url in in_turn if url not in tried and not self._is_resting(url, kind, now_s)]
            if not free:
                return None
            chosen = next((url for url in free if self._suspected_s.get(url, now_s) <= now_s), free[0])
            self._last = self._urls.index(chosen)
            if chosen in self._suspected_s:
                # One call tries whether it answers again; the others still prefer the rest meanwhile.
                self._suspected_s[chosen] = now_s + SUSPECTED_S
            return chosen

    def rest(self, url: str, kind: str, rest: Rest) -> None:
        """Do not return this host for calls of this kind before then."""
        with self._lock:
            self._rests[url, kind] = rest

    def suspect(self, url: str, *, now_s: float) -> None:
        """Return this host last for some seconds, since it did not answer."""
        with self._lock:
            self._suspected_s[url] = now_s + SUSPECTED_S

    def trust(self, url: str) -> None:
        """Return this host in its turn again, since it answered."""
        with self._lock:
            self._suspected_s.pop(url, None)

    def resting(self, kind: str, *, now_s: float) -> Mapping[str, Rest]:
        """Return the hosts that rest for this kind of call."""
        with self._lock:
            return {url: self._rests[url, kind] for url in self._urls if self._is_resting(url, kind, now_s)}

    def _is_resting(self, url: str, kind: str, now_s: float) -> bool:
        rest = self._rests.get((url, kind))
        return rest is not None and rest.until_s > now_s
