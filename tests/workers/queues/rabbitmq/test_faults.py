"""Outages of a broker: calls raise Unavailable in time, and work again afterwards by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from panopticon.errors import Unavailable
from panopticon.interfaces import Queue
from panopticon.messages import ImageMessage, Lane, encode
from tests.contracts.broker import bodies
from tests.contracts.examples import TAGGER
from tests.recoveries import Recorder
from tests.servers.rabbitmq import RabbitNode
from tests.workers.queues.rabbitmq.access import through_blackhole, wait_until
from tests.workers.queues.rabbitmq.conftest import OpenBroker

CALL_S = 1.5


@pytest.fixture
def node_url(rabbit_node: RabbitNode) -> Iterator[str]:
    """The URL of a virtual host on the node that may be stopped."""
    with rabbit_node.site.virtual_host() as url:
        yield url
        rabbit_node.await_queues()


def vhost_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def all_of(queue: Queue, expected: set[bytes]) -> bool:
    """Receive and ack until all of these bodies came, each within the time limit of `wait_until`."""
    missing = set(expected)

    def step() -> bool:
        deliveries = queue.receive(max_live=100, max_backfill=100, wait_s=0.2)
        missing.difference_update(bodies(deliveries))
        queue.ack(deliveries)
        return not missing

    wait_until(step)
    return True


def assert_unavailable_in_time(queue: Queue) -> None:
    for _ in range(2):
        began_s = time.monotonic()
        with pytest.raises(Unavailable, match="queue unavailable: "):
            queue.submit([b"never mind"], Lane.LIVE)
        with pytest.raises(Unavailable, match="queue unavailable: "):
            while True:
                queue.receive(max_live=1000, max_backfill=1000, wait_s=0.1)
        assert time.monotonic() - began_s < 2 * CALL_S + 2


def test_a_killed_broker_loses_nothing(
    rabbit_node: RabbitNode, node_url: str, open_broker: OpenBroker, recovered: Recorder
) -> None:
    queue = open_broker(node_url, call_s=CALL_S).model_queue(TAGGER)
    queue.submit([b"held", b"ready"], Lane.LIVE)
    (held,) = queue.receive(max_live=1, max_backfill=0, wait_s=5)
    rabbit_node.save()
    rabbit_node.kill()
    assert_unavailable_in_time(queue)
    queue.ack([held])
    rabbit_node.start()
    recovered(wait_until(lambda: queue.submit([b"later"], Lane.BACKFILL) is None))
    assert all_of(queue, {b"held", b"ready", b"later"})


def test_the_connection_is_restored_after_a_clean_restart(
    rabbit_node: RabbitNode, node_url: str, open_broker: OpenBroker
) -> None:
    queue = open_broker(node_url, call_s=CALL_S).model_queue(TAGGER)
    queue.submit([b"held", b"ready"], Lane.LIVE)
    assert queue.receive(max_live=1, max_backfill=0, wait_s=5)
    rabbit_node.ctl("stop_app")
    assert_unavailable_in_time(queue)
    rabbit_node.ctl("start_app")
    assert all_of(queue, {b"held", b"ready"})


def test_a_silent_broker_is_an_outage_that_ends_when_it_answers_again(
    url: str, open_broker: OpenBroker, recovered: Recorder
) -> None:
    """No connection is closed: only missing heartbeats show the outage."""
    with through_blackhole(f"{url}&heartbeat=1") as (through, between):
        queue = open_broker(through, call_s=CALL_S).model_queue(TAGGER)
        queue.submit([b"held", b"ready"], Lane.LIVE)
        assert queue.receive(max_live=1, max_backfill=0, wait_s=5)
        with between.silent():
            assert_unavailable_in_time(queue)
        recovered(wait_until(lambda: queue.submit([b"later"], Lane.LIVE) is None))
        assert all_of(queue, {b"held", b"ready", b"later"})


def test_the_error_for_a_silent_broker_is_plain_text(url: str, open_broker: OpenBroker) -> None:
    with through_blackhole(url) as (through, between):
        queue = open_broker(through, call_s=CALL_S).model_queue(TAGGER)
        queue.submit([b"1"], Lane.LIVE)
        with between.silent(), pytest.raises(Unavailable, match="no answer in time$"):
            queue.receive(max_live=1, max_backfill=0, wait_s=0.1)


def test_a_connection_closed_by_an_operator_is_reopened(
    rabbit_node: RabbitNode, node_url: str, open_broker: OpenBroker, recovered: Recorder
) -> None:
    queue = open_broker(node_url).model_queue(TAGGER)
    queue.submit([b"1", b"2"], Lane.LIVE)
    assert queue.receive(max_live=1, max_backfill=0, wait_s=5)
    rabbit_node.ctl("close_all_connections", "--vhost", vhost_of(node_url), "for a test")
    recovered(wait_until(lambda: queue.submit([b"3"], Lane.LIVE) is None))
    assert all_of(queue, {b"1", b"2", b"3"})


def test_a_message_that_is_leased_beyond_the_consumer_timeout_is_delivered_again(
    rabbit_node: RabbitNode, node_url: str, open_broker: OpenBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with rabbit_node.configured("consumer_timeout", "500"):
        queue = open_broker(node_url).model_queue(TAGGER)
        queue.submit([b"1"], Lane.LIVE)
        (held,) = queue.receive(max_live=1, max_backfill=0, wait_s=5)
        wait_until(lambda: "delivery acknowledgement on channel" in caplog.text)
        (again,) = queue.receive(max_live=1, max_backfill=0, wait_s=5)
        queue.ack([again, held])
        assert (again.body, again.redelivered) == (b"1", True)
        wait_until(lambda: queue.depth()[Lane.LIVE].total == 0)


def test_during_a_memory_alarm_nothing_is_published_and_ready_messages_are_consumed(
    rabbit_node: RabbitNode, node_url: str, open_broker: OpenBroker, recovered: Recorder
) -> None:
    queue = open_broker(node_url, call_s=CALL_S).model_queue(TAGGER)
    queue.submit([b"1", b"2"], Lane.LIVE)
    with rabbit_node.memory_alarm():
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"the broker takes no messages \(low on memory\)"):
                queue.submit([b"3"], Lane.LIVE)
        assert all_of(queue, {b"1", b"2"})
        wait_until(lambda: queue.depth()[Lane.LIVE].total == 0)
    recovered(wait_until(lambda: queue.submit([b"3"], Lane.LIVE) is None))
    assert all_of(queue, {b"3"})


def test_an_unreachable_broker_is_unavailable_at_once(
    url: str, open_broker: OpenBroker, recovered: Recorder
) -> None:
    with through_blackhole(url) as (through, between):
        between.stop()
        queue = open_broker(through).model_queue(TAGGER)
        began_s = time.monotonic()
        with pytest.raises(Unavailable, match="queue unavailable: .*Connection refused"):
            queue.submit([b"1"], Lane.LIVE)
        assert time.monotonic() - began_s < 2
        between.start()
        recovered(wait_until(lambda: queue.submit([b"1"], Lane.LIVE) is None))


def test_an_unknown_host_name_is_unavailable(open_broker: OpenBroker) -> None:
    with pytest.raises(Unavailable, match="queue unavailable: nowhere.invalid:5672/: "):
        open_broker("amqp://nowhere.invalid").catalogue().submit([b"1"], Lane.LIVE)


def test_without_management_only_counting_is_unavailable(url: str, open_broker: OpenBroker) -> None:
    broker = open_broker(url.partition("?")[0] + "?management=http://127.0.0.1:1")
    broker.topology.bind(TAGGER)
    message = ImageMessage(image_id="1")
    broker.uploads.publish([message], Lane.BACKFILL)
    assert all_of(broker.model_queue(TAGGER), {encode(message)})
    for count in (broker.catalogue().depth, broker.topology.bound):
        with pytest.raises(Unavailable, match="management http://127.0.0.1:1: ConnectionRefusedError"):
            count()


def test_closing_ends_in_time_while_a_silent_broker_is_being_connected_to(
    url: str, open_broker: OpenBroker
) -> None:
    with through_blackhole(url) as (through, between), between.silent():
        broker = open_broker(through, call_s=0.5)
        with pytest.raises(Unavailable):
            broker.catalogue().submit([b"1"], Lane.LIVE)
        began_s = time.monotonic()
        broker.close()
        assert time.monotonic() - began_s < 3


def test_closing_ends_in_time_while_the_broker_is_silent(url: str, open_broker: OpenBroker) -> None:
    with through_blackhole(url) as (through, between):
        broker = open_broker(through, call_s=0.5)
        broker.catalogue().submit([b"1"], Lane.LIVE)
        with between.silent():
            began_s = time.monotonic()
            broker.close()
            assert time.monotonic() - began_s < 5
