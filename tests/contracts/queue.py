"""The contract of every Queue."""

from __future__ import annotations

import pytest

from panopticon.interfaces import Broker, Queue
from panopticon.messages import Lane
from tests.contracts.broker import BrokerAccess, bodies, depths
from tests.contracts.examples import QUALITY, TAGGER


class QueueContract(BrokerAccess):
    @pytest.fixture
    def queue(self, broker: Broker) -> Queue:
        broker.topology.bind(TAGGER)
        return broker.model_queue(TAGGER)

    @pytest.fixture
    def other(self, other_broker: Broker, queue: Queue) -> Queue:
        """The same queue in another client."""
        return other_broker.model_queue(TAGGER)

    def test_a_message_is_delivered_as_it_was_submitted(self, queue: Queue) -> None:
        queue.submit([b"\x00\xff {not json"], Lane.BACKFILL)
        (delivery,) = self.take(queue)
        assert delivery.body == b"\x00\xff {not json"
        assert delivery.lane is Lane.BACKFILL
        assert delivery.attempt == 0
        assert not delivery.redelivered

    def test_an_empty_queue_delivers_nothing(self, queue: Queue) -> None:
        assert queue.receive(max_live=5, max_backfill=5, wait_s=self.wait_s) == []

    def test_the_first_in_is_the_first_out(self, queue: Queue) -> None:
        queue.submit([b"1", b"2"], Lane.LIVE)
        queue.submit([b"3"], Lane.LIVE)
        assert bodies(self.take(queue, most=2)) == [b"1", b"2", b"3"]

    def test_a_live_message_is_delivered_before_an_older_backfill(self, queue: Queue) -> None:
        queue.submit([b"old"], Lane.BACKFILL)
        queue.submit([b"fresh"], Lane.LIVE)
        self.settle()
        assert bodies(self.take(queue)) == [b"fresh", b"old"]

    def test_no_more_are_delivered_than_were_asked_for(self, queue: Queue) -> None:
        queue.submit([b"l"] * 5, Lane.LIVE)
        queue.submit([b"b"] * 5, Lane.BACKFILL)
        self.settle()
        deliveries = queue.receive(max_live=2, max_backfill=1, wait_s=self.wait_s)
        assert len([delivery for delivery in deliveries if delivery.lane is Lane.LIVE]) <= 2
        assert len([delivery for delivery in deliveries if delivery.lane is Lane.BACKFILL]) <= 1

    def test_a_lane_that_is_not_asked_for_delivers_nothing(self, queue: Queue) -> None:
        queue.submit([b"l"], Lane.LIVE)
        assert queue.receive(max_live=0, max_backfill=5, wait_s=self.wait_s) == []

    def test_a_leased_message_is_delivered_to_nobody_else(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        assert bodies(self.take(queue)) == [b"1"]
        assert self.take(other) == []

    def test_a_message_that_one_consumer_leaves_is_delivered_to_another(
        self, queue: Queue, other: Queue
    ) -> None:
        queue.submit([b"1", b"2"], Lane.LIVE)
        first = queue.receive(max_live=1, max_backfill=0, wait_s=self.wait_s)
        second = other.receive(max_live=1, max_backfill=0, wait_s=self.wait_s)
        assert sorted(bodies(first) + bodies(second)) == [b"1", b"2"]

    def test_an_acked_message_is_never_delivered_again(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        queue.ack(self.take(queue))
        self.lapse()
        assert self.take(other) == []

    def test_a_message_with_a_lapsed_lease_is_delivered_again(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        self.take(queue)
        self.lapse()
        (delivery,) = self.take(other)
        assert (delivery.body, delivery.attempt, delivery.redelivered) == (b"1", 0, True)

    def test_a_renewed_lease_does_not_lapse(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        deliveries = self.take(queue)
        self.let_time_pass(self.lease_s * 0.7)
        queue.renew(deliveries)
        self.let_time_pass(self.lease_s * 0.7)
        assert self.take(other) == []

    def test_a_requeued_message_is_delivered_at_once_and_spends_no_attempt(
        self, queue: Queue, other: Queue
    ) -> None:
        queue.submit([b"1"], Lane.BACKFILL)
        queue.requeue(self.take(queue))
        (delivery,) = self.take(other)
        assert (delivery.body, delivery.lane, delivery.attempt) == (b"1", Lane.BACKFILL, 0)
        assert delivery.redelivered

    @pytest.mark.parametrize("lane", Lane)
    def test_after_release_prefetched_others_get_all_but_leased_messages(
        self, queue: Queue, other: Queue, lane: Lane
    ) -> None:
        queue.submit([b"1", b"2", b"3", b"4"], lane)
        done, held = queue.receive(max_live=2, max_backfill=2, wait_s=self.wait_s)
        queue.ack([done])
        self.settle()
        queue.release_prefetched()
        assert bodies(self.take(other)) == [b"3", b"4"]
        other.release_prefetched()
        queue.ack([held])
        queue.submit([b"5"], lane)
        assert bodies(self.take(queue)) == [b"5"]

    def test_a_retried_message_waits_for_its_retry_delay(self, queue: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        (delivery,) = self.take(queue)
        queue.retry(delivery, delay_s=self.retry_delay_s)
        self.let_time_pass(self.retry_delay_s / 2)
        assert self.take(queue) == []

    def test_a_retried_message_is_delivered_with_one_more_attempt(self, queue: Queue) -> None:
        queue.submit([b"1"], Lane.BACKFILL)
        for attempt in range(3):
            (delivery,) = self.take(queue)
            assert delivery.attempt == attempt
            queue.retry(delivery, delay_s=self.retry_delay_s)
            self.let_time_pass(self.retry_delay_s)
        (delivery,) = self.take(queue)
        assert (delivery.body, delivery.lane, delivery.attempt) == (b"1", Lane.BACKFILL, 3)
        assert delivery.redelivered

    def test_a_message_may_wait_on_a_retry_delay_without_spending_an_attempt(self, queue: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        (delivery,) = self.take(queue)
        queue.retry(delivery, delay_s=self.retry_delay_s)
        self.let_time_pass(self.retry_delay_s)
        (delivery,) = self.take(queue)
        queue.retry(delivery, delay_s=self.retry_delay_s, spend_attempt=False)
        assert self.take(queue) == []
        self.let_time_pass(self.retry_delay_s)
        (delivery,) = self.take(queue)
        assert (delivery.body, delivery.attempt, delivery.redelivered) == (b"1", 1, True)

    def test_a_retried_message_comes_behind_those_that_wait(self, queue: Queue) -> None:
        """Otherwise messages that fail again and again come first for ever."""
        queue.submit([b"1", b"2", b"3"], Lane.LIVE)
        (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=self.wait_s)
        queue.retry(delivery, delay_s=self.retry_delay_s, spend_attempt=False)
        self.let_time_pass(self.retry_delay_s)
        assert bodies(self.take(queue)) == [b"2", b"3", b"1"]

    def test_attempts_outlive_a_lapsed_lease(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        (delivery,) = self.take(queue)
        queue.retry(delivery, delay_s=self.retry_delay_s)
        self.let_time_pass(self.retry_delay_s)
        self.take(queue)
        self.lapse()
        (delivery,) = self.take(other)
        assert delivery.attempt == 1

    def test_acking_a_lease_that_another_took_changes_nothing(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        stale = self.take(queue)
        self.lapse()
        self.take(other)
        queue.ack(stale)
        self.settle()
        assert depths(other) == (0, 1, 0)

    def test_requeueing_a_lease_that_another_took_changes_nothing(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        stale = self.take(queue)
        self.lapse()
        self.take(other)
        queue.requeue(stale)
        assert self.take(queue) == []

    def test_retrying_a_lease_that_another_took_changes_nothing(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        (stale,) = self.take(queue)
        self.lapse()
        taken = self.take(other)
        queue.retry(stale, delay_s=self.retry_delay_s)
        other.ack(taken)
        self.let_time_pass(self.retry_delay_s)
        assert self.take(queue) == []

    def test_renewing_a_lease_that_another_took_does_not_make_it_longer(
        self, queue: Queue, other: Queue
    ) -> None:
        queue.submit([b"1"], Lane.LIVE)
        stale = self.take(queue)
        self.lapse()
        taken = self.take(other)
        queue.renew(stale)
        other.requeue(taken)
        assert bodies(self.take(queue)) == [b"1"]

    def test_acking_twice_is_harmless(self, queue: Queue) -> None:
        queue.submit([b"1", b"2"], Lane.LIVE)
        first, second = self.take(queue)
        queue.ack([first])
        queue.ack([first, second])
        self.settle()
        assert depths(queue) == (0, 0, 0)

    def test_depth_counts_each_lane_and_state_separately(self, queue: Queue) -> None:
        queue.submit([b"1", b"2", b"3"], Lane.LIVE)
        queue.submit([b"4", b"5"], Lane.BACKFILL)
        retried = queue.receive(max_live=1, max_backfill=0, wait_s=self.wait_s)
        queue.retry(retried[0], delay_s=self.retry_delay_s)
        queue.receive(max_live=1, max_backfill=0, wait_s=self.wait_s)
        self.settle()
        assert depths(queue, Lane.LIVE) == (1, 1, 1)
        assert depths(queue, Lane.BACKFILL) == (2, 0, 0)

    def test_depth_counts_a_lapsed_lease_as_ready(self, queue: Queue, other: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        self.take(queue)
        self.lapse()
        self.settle()
        assert depths(other) == (1, 0, 0)

    def test_depth_counts_a_message_whose_retry_delay_is_over_as_ready(self, queue: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        (delivery,) = self.take(queue)
        queue.retry(delivery, delay_s=self.retry_delay_s)
        self.let_time_pass(self.retry_delay_s)
        self.settle()
        assert depths(queue) == (1, 0, 0)

    def test_empty_batches_are_harmless(self, queue: Queue) -> None:
        queue.submit([], Lane.LIVE)
        queue.ack([])
        queue.requeue([])
        queue.renew([])
        assert depths(queue) == (0, 0, 0)

    def test_the_queues_of_a_broker_do_not_mix(self, broker: Broker, queue: Queue) -> None:
        broker.topology.bind(QUALITY)
        queues = {
            b"tagger": queue,
            b"quality": broker.model_queue(QUALITY),
            b"results": broker.results(),
            b"catalogue": broker.catalogue(),
            b"undeliverable": broker.undeliverable(),
        }
        for body, each in queues.items():
            each.submit([body], Lane.LIVE)
        assert {body: bodies(self.take(each)) for body, each in queues.items()} == {
            body: [body] for body in queues
        }

    def test_messages_outlive_the_client_that_sent_them(self, broker: Broker, queue: Queue) -> None:
        queue.submit([b"1"], Lane.LIVE)
        broker.close()
        reopened = self.open_broker()
        assert bodies(self.take(reopened.model_queue(TAGGER))) == [b"1"]
        reopened.close()
