"""The intake policy of a consumer: how many images it may take, how long it waits, when an outage is over.

Pure: the numbers in flight and the time are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PARKED_WAIT_S = 0.1
IDLE_WAIT_S = 0.25
BUSY_WAIT_S = 0.02
PUT_OFF_PAUSE_S = 0.1
"""Pause after every image taken was of a host that is down: there may be no others."""


class Mode(Enum):
    """The caution with which images are taken."""

    NORMAL = "normal"
    """The whole credit of the model may be used."""
    PROBING = "probing"
    """A few images at a time show whether work gets through again."""
    SOURCE_DOWN = "source_down"
    """A few images at a time are taken, and the model is given one of them at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The number of messages that may be leased from each lane."""

    live: int = 0
    backfill: int = 0


NO_ROOM = Room()


class Intake:
    """The state of one consumer's intake. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._mode = Mode.NORMAL
        self._probes = 1
        self._got_through = False
        self._paused_until_s = 0.0

    @property
    def mode(self) -> Mode:
        return self._mode

    def wait_s(self, *, parked: bool, ready: bool, at_model: int, now_s: float) -> float:
        """Return how long to wait for answers. `ready`: the model has greeted."""
        if parked:
            return PARKED_WAIT_S
        if not ready:
            return IDLE_WAIT_S
        # With nothing at the model, the consumer waits for the queue instead, unless it takes nothing now.
        return BUSY_WAIT_S if at_model or now_s < self._paused_until_s else 0.0

    def room(self, *, credit: int, best_batch: int, unfinished: int, in_flight: int, now_s: float) -> Room:
        """Return how much may be leased now.

        `unfinished`: images that the model has or will be given; `in_flight`: all deliveries not yet settled.
        """
        if now_s < self._paused_until_s or not best_batch:
            return NO_ROOM
        if self._mode is not Mode.NORMAL:
            # One probe after the other: while any is in flight, its outcome is awaited.
            return NO_ROOM if in_flight else Room(live=self._probes, backfill=self._probes)
        free = credit - unfinished
        # A lease costs a commit, so a busy model waits until a whole batch is free.
        if free <= 0 or (unfinished and free < best_batch):
            return NO_ROOM
        # Backfill leaves a batch free, so that a live image never waits behind a credit full of backlog.
        return Room(live=free, backfill=max(free - best_batch, 0))

    def received(self, images: int, *, best_batch: int) -> None:
        """Record a lease of messages. The next probes are twice as many, up to a batch."""
        # The first message in line may be a bad one that is requeued and comes first again.
        if images and self._mode is not Mode.NORMAL:
            self._probes = min(2 * self._probes, best_batch)

    def next_images(self, *, waiting: int, at_model: int) -> int:
        """Return how many of the waiting images to give to the model."""
        if self._mode is not Mode.SOURCE_DOWN:
            return waiting
        return 0 if at_model else min(waiting, 1)

    def pause(self, *, now_s: float) -> None:
        """Take nothing for a moment."""
        self._paused_until_s = now_s + PUT_OFF_PAUSE_S

    def probe(self) -> None:
        """Take only a few images until `resume`, one of each lane at first."""
        if self._mode is Mode.NORMAL:
            self._mode = Mode.PROBING
        self._probes = 1

    def source_failed(self) -> None:
        """Record that the source of originals did not answer."""
        self._mode = Mode.SOURCE_DOWN

    def source_answered(self) -> None:
        """Record that the source of originals answered."""
        if self._mode is Mode.SOURCE_DOWN:
            self._mode = Mode.PROBING

    def parked(self) -> None:
        """Record that a component is down: something has to get through again."""
        self._got_through = False

    def got_through(self) -> None:
        """Record that outcomes were stored, published and acknowledged."""
        self._got_through = True

    def is_over(self, *, in_flight: int) -> bool:
        """Return whether an outage is over: work got through, or nothing is in flight to try it with."""
        return self._mode is not Mode.SOURCE_DOWN and (self._got_through or not in_flight)

    def resume(self) -> None:
        """Take as much as ever."""
        self._mode = Mode.NORMAL
        self._probes = 1
