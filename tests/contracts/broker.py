"""The contract of every Broker, and the access of all contracts to the broker under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Broker, Delivery, Queue
from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER


class BrokerAccess:
    """The access to one broker, which is empty at the beginning of each test."""

    lease_s: float = 60.0
    retry_delay_s: float = 10.0
    """A retry delay that this broker has."""
    wait_s: float = 0.0
    """The longest time that a message takes to arrive."""

    def open_broker(self) -> Broker:
        """Open another client of the same broker."""
        raise NotImplementedError

    def let_time_pass(self, seconds: float) -> None:
        """Return when the broker believes that `seconds` have passed."""
        raise NotImplementedError

    def lapse(self) -> None:
        """Return when all present leases have lapsed."""
        self.let_time_pass(self.lease_s + 0.001)

    def settle(self) -> None:
        """Return when `depth` counts everything that was done so far."""

    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        with closing(self.open_broker()) as broker:
            yield broker

    @pytest.fixture
    def other_broker(self) -> Iterator[Broker]:
        with closing(self.open_broker()) as broker:
            yield broker

    def take(self, queue: Queue, *, most: int = 100) -> list[Delivery]:
        """Receive all messages, live ones first."""
        taken: list[Delivery] = []
        while deliveries := queue.receive(max_live=most, max_backfill=most, wait_s=self.wait_s):
            taken += deliveries
        return taken


class BrokerContract(BrokerAccess):
    def test_each_queue_is_one_object(self, broker: Broker) -> None:
        again = VersionName(model=TAGGER.model, version=TAGGER.version)
        assert broker.model_queue(TAGGER) is broker.model_queue(again)
        assert broker.model_queue(TAGGER) is not broker.model_queue(QUALITY)
        assert broker.results() is broker.results()
        assert broker.catalogue() is broker.catalogue()
        assert broker.undeliverable() is broker.undeliverable()

    def test_a_message_is_acked_through_a_queue_that_was_asked_for_again(self, broker: Broker) -> None:
        broker.model_queue(TAGGER).submit([b"1"], Lane.LIVE)
        received = self.take(broker.model_queue(TAGGER))
        broker.model_queue(TAGGER).ack(received)
        self.settle()
        assert (bodies(received), depths(broker.model_queue(TAGGER))) == ([b"1"], (0, 0, 0))


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


def depths(queue: Queue, lane: Lane = Lane.LIVE) -> tuple[int, int, int]:
    """Return the numbers of ready, leased and retrying messages."""
    depth = queue.depth()[lane]
    return depth.ready, depth.leased, depth.retrying
