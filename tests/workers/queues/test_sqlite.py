"""The SQLite broker fulfils the contracts of its Protocols; how it waits for messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.interfaces import Broker
from panopticon.messages import Lane
from tests.contracts.broker import BrokerAccess, BrokerContract, bodies
from tests.contracts.examples import TAGGER
from tests.contracts.queue import QueueContract
from tests.contracts.topology import AnnouncementContract, TopologyContract, UploadsContract
from tests.workers.queues.fake_clock import FakeClock
from workers.queues.sqlite import SqliteBroker


class SqliteAccess(BrokerAccess):
    clock: FakeClock
    url: str

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.clock = FakeClock()
        self.url = f"sqlite:///{tmp_path}/panopticon.db"

    def open_broker(self) -> Broker:
        return SqliteBroker(self.url, lease_s=self.lease_s, clock=self.clock)

    def let_time_pass(self, seconds: float) -> None:
        self.clock.now_s += seconds


class TestSqliteBroker(SqliteAccess, BrokerContract):
    pass


class TestSqliteQueue(SqliteAccess, QueueContract):
    def test_receive_waits_no_longer_than_wait_s(self, broker: Broker) -> None:
        began_s = self.clock.now_s
        assert broker.results().receive(max_live=1, max_backfill=1, wait_s=0.5) == []
        assert self.clock.now_s - began_s == pytest.approx(0.5)

    def test_receive_returns_as_soon_as_a_message_arrives(self, broker: Broker, other_broker: Broker) -> None:
        began_s = self.clock.now_s
        self.clock.on_sleep = lambda: other_broker.results().submit([b"1"], Lane.LIVE)
        assert bodies(broker.results().receive(max_live=1, max_backfill=1, wait_s=60)) == [b"1"]
        assert self.clock.now_s - began_s < 0.1

    def test_acking_a_lapsed_lease_changes_nothing_even_if_nobody_took_it(self, broker: Broker) -> None:
        queue = broker.model_queue(TAGGER)
        queue.submit([b"1"], Lane.LIVE)
        lapsed = self.take(queue)
        self.lapse()
        queue.ack(lapsed)
        assert bodies(self.take(queue)) == [b"1"]

    def test_a_requeued_message_comes_before_younger_ones(self, broker: Broker) -> None:
        queue = broker.model_queue(TAGGER)
        queue.submit([b"1", b"2"], Lane.LIVE)
        queue.requeue(queue.receive(max_live=1, max_backfill=0, wait_s=0))
        assert bodies(self.take(queue)) == [b"1", b"2"]


class TestSqliteTopology(SqliteAccess, TopologyContract):
    pass


class TestSqliteUploads(SqliteAccess, UploadsContract):
    pass


class TestSqliteAnnouncement(SqliteAccess, AnnouncementContract):
    pass
