"""How the suites of a broker reach the system under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Broker, Delivery, Queue
from panopticon.messages import Lane


class BrokerAccess:
    """Back doors of one broker, empty at the beginning of each test."""

    lease_s: float = 60.0
    retry_delay_s: float = 10.0
    """A delay after which this broker can hand a message over again."""
    wait_s: float = 0.0
    """How long a message may be on its way."""

    def open_broker(self) -> Broker:
        """Another client of the same broker."""
        raise NotImplementedError

    def let_time_pass(self, seconds: float) -> None:
        """Return when the broker believes that so much time is over."""
        raise NotImplementedError

    def lapse(self) -> None:
        """Return when every lease that is held has lapsed."""
        self.let_time_pass(self.lease_s + 0.001)

    def settle(self) -> None:
        """Return when `depth` tells of everything done so far."""

    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        with closing(self.open_broker()) as broker:
            yield broker

    @pytest.fixture
    def other_broker(self) -> Iterator[Broker]:
        with closing(self.open_broker()) as broker:
            yield broker

    def take(self, queue: Queue, *, most: int = 100) -> list[Delivery]:
        """Everything that can be received, live first."""
        taken: list[Delivery] = []
        while deliveries := queue.receive(max_live=most, max_backfill=most, wait_s=self.wait_s):
            taken += deliveries
        return taken


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


def depths(queue: Queue, lane: Lane = Lane.LIVE) -> tuple[int, int, int]:
    """Ready, held, retrying."""
    depth = queue.depth()[lane]
    return depth.ready, depth.leased, depth.retrying
