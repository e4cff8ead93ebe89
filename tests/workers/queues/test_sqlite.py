"""The SQLite broker fulfils the contracts of its Protocols; how it waits for messages."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from panopticon.interfaces import Broker, Delivery
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

    def test_messages_on_a_retry_delay_are_listed_with_its_end_the_next_due_first(
        self, broker: Broker
    ) -> None:
        queue, now_ms = broker.model_queue(TAGGER), int(self.clock.time() * 1000)
        queue.submit([b"1", b"2"], Lane.LIVE)
        queue.submit([b"3", b"4"], Lane.BACKFILL)
        for delivery, delay_s in zip(self.take(queue), (60, 0, 10, 30), strict=True):
            queue.retry(delivery, delay_s=delay_s)
        assert [(each.body, each.due_at_ms - now_ms) for each in queue.delayed(limit=2)] == [
            (b"3", 10_000),
            (b"4", 30_000),
        ]
        assert [each.body for each in queue.delayed(limit=9)] == [b"3", b"4", b"1"]

    def test_depth_has_the_end_of_the_last_lease(self, broker: Broker) -> None:
        queue, now_ms = broker.model_queue(TAGGER), int(self.clock.time() * 1000)
        queue.submit([b"1"], Lane.LIVE)
        self.take(queue)
        assert queue.depth()[Lane.LIVE].leased_until_ms == now_ms + self.lease_s * 1000
        assert queue.depth()[Lane.BACKFILL].leased_until_ms == 0


DAY_S = 86_400


class TestSqliteClock(SqliteAccess):
    """The clock of the machine is set by a day while messages wait."""

    def other_day(self, shift_s: float, *, lease_s: float = 60.0) -> Broker:
        """Open the broker as a process that starts after the clock was set."""
        return SqliteBroker(self.url, lease_s=lease_s, clock=FakeClock(self.clock.time() + shift_s))

    @pytest.fixture
    def leased(self, broker: Broker) -> list[Delivery]:
        """The leases of three messages."""
        broker.model_queue(TAGGER).submit([b"1", b"2", b"3"], Lane.LIVE)
        return self.take(broker.model_queue(TAGGER))

    @pytest.mark.parametrize("shift_s", [-DAY_S, DAY_S])
    def test_leases_end(self, leased: list[Delivery], shift_s: float) -> None:
        with closing(self.other_day(shift_s)) as after:
            assert bodies(self.take(after.model_queue(TAGGER))) == bodies(leased)

    @pytest.mark.parametrize("shift_s", [-DAY_S, DAY_S])
    def test_retry_delays_end(self, broker: Broker, leased: list[Delivery], shift_s: float) -> None:
        for delivery in leased:
            broker.model_queue(TAGGER).retry(delivery, delay_s=10)
        with closing(self.other_day(shift_s)) as after:
            assert bodies(self.take(after.model_queue(TAGGER))) == bodies(leased)

    def test_a_holder_that_renews_its_leases_after_the_clock_was_set_back_keeps_them(
        self, broker: Broker, leased: list[Delivery]
    ) -> None:
        self.clock.now_s -= DAY_S
        broker.model_queue(TAGGER).renew(leased)
        with closing(self.other_day(0)) as after:
            assert self.take(after.model_queue(TAGGER)) == []

    def test_a_step_of_a_time_server_ends_no_lease(self, leased: list[Delivery]) -> None:
        assert leased
        with closing(self.other_day(-0.9)) as after:
            assert self.take(after.model_queue(TAGGER)) == []

    def test_a_process_with_shorter_leases_does_not_end_the_lease_of_another(
        self, leased: list[Delivery]
    ) -> None:
        assert leased
        with closing(self.other_day(0, lease_s=5)) as other:
            assert self.take(other.model_queue(TAGGER)) == []

    def test_a_lease_of_an_older_release_ends_if_it_is_further_ahead_than_any_lease(
        self, leased: list[Delivery]
    ) -> None:
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute("UPDATE messages SET since_ms = 0, holder = ''")
        with closing(self.other_day(0)) as soon:
            assert self.take(soon.model_queue(TAGGER)) == []
        with closing(self.other_day(-DAY_S)) as after:
            assert bodies(self.take(after.model_queue(TAGGER))) == bodies(leased)

    def test_messages_are_freed_while_a_process_waits_for_messages(
        self, broker: Broker, leased: list[Delivery]
    ) -> None:
        queue = broker.model_queue(TAGGER)
        assert queue.receive(max_live=9, max_backfill=0, wait_s=0) == []
        self.clock.wall_shift_s = -DAY_S
        assert bodies(queue.receive(max_live=9, max_backfill=0, wait_s=2)) == bodies(leased)


class TestSqliteTopology(SqliteAccess, TopologyContract):
    pass


class TestSqliteUploads(SqliteAccess, UploadsContract):
    pass


class TestSqliteAnnouncement(SqliteAccess, AnnouncementContract):
    pass
