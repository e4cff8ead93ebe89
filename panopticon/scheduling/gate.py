"""A gate: a limit on how much is admitted at once. What does not fit is refused at once, and never waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panopticon.messages import Lane


class Full(StrEnum):
    """The limit of a gate that leaves no room."""

    PLACES = "places"
    BYTES = "bytes"
    BACKFILL = "backfill"
    """The half of the places that backfill may fill."""


class Gate:
    """Counts what is admitted, in places and in bytes. Used by one thread.

    Backfill may fill half of the places at most (one, if there is only one), so that live images always have
    the other half. The first one is admitted whatever its size: it could not be admitted later either.
    """

    def __init__(self, *, max_places: int, max_bytes: int) -> None:
        self.max_places = max_places
        self.max_bytes = max_bytes
        self._places = dict.fromkeys(Lane, 0)
        self._bytes = 0

    @property
    def places(self) -> int:
        """Return the number of places that are taken."""
        return sum(self._places.values())

    @property
    def bytes(self) -> int:
        """Return the sum of the sizes of what is admitted."""
        return self._bytes

    def enter(self, lane: Lane, size_bytes: int) -> Place | Full:
        """Take a place for something of this size, or return the limit that leaves no room for it."""
        if self.places >= self.max_places:
            return Full.PLACES
        if lane is Lane.BACKFILL and self._places[lane] >= max(self.max_places // 2, 1):
            return Full.BACKFILL
        if self.places and self._bytes + size_bytes > self.max_bytes:
            return Full.BYTES
        self._places[lane] += 1
        self._bytes += size_bytes
        return Place(_gate=self, _lane=lane, _size_bytes=size_bytes)

    def _grow(self, by_bytes: int) -> bool:
        if by_bytes > 0 and self.places > 1 and self._bytes + by_bytes > self.max_bytes:
            return False
        self._bytes += by_bytes
        return True

    def _leave(self, lane: Lane, size_bytes: int) -> None:
        self._places[lane] -= 1
        self._bytes -= size_bytes


@dataclass(slots=True, kw_only=True)
class Place:
    """One place behind a gate, which ends with `leave`."""

    _gate: Gate
    _lane: Lane
    _size_bytes: int
    _left: bool = False

    def resize(self, size_bytes: int) -> bool:
        """Change the size of what has this place; return False, and change nothing, if it does not fit."""
        if not self._gate._grow(size_bytes - self._size_bytes):
            return False
        self._size_bytes = size_bytes
        return True

    def leave(self) -> None:
        """Free the place. Repeating is harmless."""
        if not self._left:
            self._left = True
            self._gate._leave(self._lane, self._size_bytes)
