"""Another consumer of results: a queue of its own, bound to the results exchange with the key `#`."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from panopticon.errors import Unavailable
from panopticon.messages import Lane
from tests.contracts.broker import bodies
from tests.workers.queues.rabbitmq.access import wait_until
from tests.workers.queues.rabbitmq.conftest import OpenBroker

QUEUE = "another-search"


@pytest.fixture
def channel(url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url.partition("?")[0]))
    yield connection.channel()
    connection.close()


def taken(channel: BlockingChannel) -> list[bytes]:
    """Return every body that waits in the other consumer's queue."""
    found: list[bytes] = []
    while True:
        method, _, body = channel.basic_get(QUEUE, auto_ack=True)
        if method is None:
            return found
        found.append(body)


def test_it_gets_results_of_both_lanes_announcements_and_what_the_indexer_publishes(
    url: str, open_broker: OpenBroker, channel: BlockingChannel
) -> None:
    """It may come first, and declares the exchange as Panopticon does."""
    channel.exchange_declare("panopticon.results", "topic", durable=True)
    channel.queue_declare(QUEUE)
    channel.queue_bind(QUEUE, "panopticon.results", "#")
    broker = open_broker(url)
    broker.results().submit([b"live"], Lane.LIVE)
    broker.results().submit([b"backfill"], Lane.BACKFILL)
    broker.announce(b"activated")
    broker.publish_downstream([b"deleted", b"renewed"])
    assert taken(channel) == [b"live", b"backfill", b"activated", b"deleted", b"renewed"]


def test_messages_for_it_do_not_reach_the_indexer_and_need_no_consumer(
    url: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(url)
    broker.publish_downstream([b"deleted"])
    broker.results().submit([b"result"], Lane.LIVE)
    assert bodies(broker.results().receive(max_live=9, max_backfill=9, wait_s=5)) == [b"result"]


def test_a_full_search_queue_does_not_refuse_messages_for_it(
    url: str, open_broker: OpenBroker, channel: BlockingChannel
) -> None:
    """The indexer publishes them, and it alone can empty the search queue."""
    broker = open_broker(url, max_results=5)

    def refused() -> bool:
        try:
            broker.results().submit([b"result"], Lane.LIVE)
        except Unavailable:
            return True
        return False

    wait_until(refused)
    channel.queue_declare(QUEUE)
    channel.queue_bind(QUEUE, "panopticon.results", "result.downstream")
    broker.publish_downstream([b"deleted"])
    assert taken(channel) == [b"deleted"]
