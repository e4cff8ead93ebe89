"""The behaviour of RabbitMQ queues beyond the contract: order, waking, limits and dead letters."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest

from panopticon.errors import Unavailable
from panopticon.interfaces import Delivery, Queue
from panopticon.messages import Lane
from panopticon.results.undeliverable import NO_VERSION, encode_envelope, failure_of
from tests.contracts.broker import bodies
from tests.contracts.examples import TAGGER
from tests.servers.rabbitmq import RabbitSite
from tests.workers.queues.rabbitmq.access import Operator, through_blackhole, wait_until
from tests.workers.queues.rabbitmq.conftest import OpenBroker


def numbered(count: int) -> list[bytes]:
    return [f"{number}".encode() for number in range(count)]


def take(queue: Queue, count: int, *, most: int = 100, ack: bool = True) -> list[bytes]:
    """Return the bodies of the next `count` messages, or of fewer if no more come."""
    taken: list[bytes] = []
    while len(taken) < count and (deliveries := queue.receive(max_live=most, max_backfill=most, wait_s=5)):
        taken += bodies(deliveries)
        if ack:
            queue.ack(deliveries)
    return taken


def test_ten_thousand_messages_are_delivered_in_order_and_once(url: str, open_broker: OpenBroker) -> None:
    broker = open_broker(url)
    queue = broker.model_queue(TAGGER)
    queue.submit(numbered(10_000), Lane.BACKFILL)
    assert take(queue, 10_000) == numbered(10_000)
    wait_until(lambda: queue.depth()[Lane.BACKFILL].total == 0)


def test_a_message_wakes_a_waiting_receiver_at_once(url: str, open_broker: OpenBroker) -> None:
    waiting, sending = open_broker(url).catalogue(), open_broker(url).catalogue()
    assert waiting.receive(max_live=1, max_backfill=1, wait_s=0) == []
    sending.submit([b"first"], Lane.LIVE)
    assert take(waiting, 1) == [b"first"]
    threading.Timer(0.2, sending.submit, ([b"1"], Lane.BACKFILL)).start()
    began_s = time.monotonic()
    assert bodies(waiting.receive(max_live=1, max_backfill=1, wait_s=30)) == [b"1"]
    assert time.monotonic() - began_s < 2


@pytest.mark.parametrize("key", ["image.uploaded", "image.deleted"])
def test_a_delivery_has_the_routing_key_that_its_publisher_chose(
    url: str, open_broker: OpenBroker, operator: Operator, key: str
) -> None:
    queue = open_broker(url).catalogue()
    assert queue.receive(max_live=1, max_backfill=1, wait_s=0) == []
    operator.publish("panopticon.uploads", key, '{"image_id": "1"}')
    (delivery,) = queue.receive(max_live=1, max_backfill=1, wait_s=30)
    assert delivery.routing_key == key


def test_several_consumers_share_a_shuffled_queue_without_loss_or_repetition(
    url: str, open_broker: OpenBroker
) -> None:
    chance = random.Random(4)
    queues = [open_broker(url).model_queue(TAGGER) for _ in range(3)]
    queues[0].submit(numbered(600), Lane.LIVE)
    done: Counter[bytes] = Counter()

    def step() -> bool:
        queue = chance.choice(queues)
        deliveries = queue.receive(max_live=chance.randint(1, 20), max_backfill=0, wait_s=0.01)
        chance.shuffle(deliveries)
        for delivery in deliveries:
            match chance.randrange(10):
                case 0:
                    queue.requeue([delivery])
                case 1:
                    queue.retry(delivery, delay_s=0)
                case _:
                    queue.ack([delivery])
                    done[delivery.body] += 1
        return len(done) == 600

    wait_until(step)
    assert set(done.values()) == {1}


def test_a_full_search_queue_refuses_and_takes_again_when_there_is_room(
    url: str, open_broker: OpenBroker
) -> None:
    """The broker enforces its limit a little late, so some more messages get in."""
    results = open_broker(url, max_results=50).results()
    results.submit(numbered(50), Lane.LIVE)
    with pytest.raises(Unavailable, match="queue unavailable: the broker refused a message"):
        for _ in range(20):
            results.submit([b"too many"], Lane.LIVE)
    results.submit([b"backfill has room of its own"], Lane.BACKFILL)
    deliveries = results.receive(max_live=50, max_backfill=0, wait_s=5)
    results.ack(deliveries)
    wait_until(lambda: results.submit([b"again"], Lane.LIVE) is None)


def test_a_message_that_exceeds_the_delivery_limit_becomes_a_failure_of_its_model(
    url: str, rabbit_site: RabbitSite, open_broker: OpenBroker
) -> None:
    broker = open_broker(url)
    broker.model_queue(TAGGER).submit([b"it kills"], Lane.BACKFILL)
    limit_deliveries(rabbit_site, url)
    failure = failure_of(given_up(broker.model_queue(TAGGER), broker.undeliverable()), at_ms=1)
    assert (failure.key.model, failure.key.version) == (TAGGER.model, TAGGER.version)
    assert (failure.reason, failure.message) == ("delivery_limit", b"it kills")


def test_a_message_of_another_queue_that_exceeds_the_delivery_limit_has_no_version(
    url: str, rabbit_site: RabbitSite, open_broker: OpenBroker
) -> None:
    broker = open_broker(url)
    broker.catalogue().submit([b"it kills"], Lane.LIVE)
    limit_deliveries(rabbit_site, url)
    failure = failure_of(given_up(broker.catalogue(), broker.undeliverable()), at_ms=1)
    assert (failure.key.model, failure.message) == (NO_VERSION.model, b"it kills")


def test_an_envelope_is_delivered_as_it_was_submitted(url: str, open_broker: OpenBroker) -> None:
    queue = open_broker(url).undeliverable()
    envelope = encode_envelope(b"{", version=TAGGER, reason="bad_message", detail="no JSON")
    queue.submit([envelope], Lane.BACKFILL)
    (delivery,) = queue.receive(max_live=1, max_backfill=1, wait_s=5)
    assert (delivery.body, delivery.lane) == (envelope, Lane.LIVE)


def test_a_retry_uses_the_shortest_retry_delay_that_is_long_enough(url: str, open_broker: OpenBroker) -> None:
    broker = open_broker(url, retry_delays_s=(0.2, 3600))
    queue = broker.model_queue(TAGGER)
    queue.submit([b"soon", b"late", b"latest"], Lane.LIVE)
    soon, late, latest = queue.receive(max_live=3, max_backfill=0, wait_s=5)
    queue.retry(late, delay_s=60)
    queue.retry(latest, delay_s=86_400)
    queue.retry(soon, delay_s=0.1)
    assert take(queue, 1) == [b"soon"]
    wait_until(lambda: queue.depth()[Lane.LIVE].retrying == 2)


def test_no_message_is_lost_and_no_tag_is_stale_whenever_channels_are_cut(
    url: str, open_broker: OpenBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """A tag of a former channel would ack another message, or make the broker close the new channel."""
    chance = random.Random(7)
    caplog.set_level("INFO")
    open_broker(url).model_queue(TAGGER).submit(numbered(400), Lane.LIVE)
    with through_blackhole(url) as (through, between):
        queue = open_broker(through).model_queue(TAGGER)
        held: list[Delivery] = []
        acked: set[bytes] = set()
        cuts = iter(range(5))

        def step() -> bool:
            held.extend(queue.receive(max_live=chance.randint(1, 30), max_backfill=0, wait_s=0.05))
            chance.shuffle(held)
            if chance.random() < 0.2 and next(cuts, None) is not None:
                between.cut()
            done = [held.pop() for _ in range(chance.randint(0, len(held)))]
            queue.ack(done)
            acked.update(bodies(done))
            return not held and queue.depth()[Lane.LIVE].total == 0

        wait_until(step, limit_s=60)
    assert acked == {*numbered(400)}
    assert "unknown delivery tag" not in caplog.text


def limit_deliveries(site: RabbitSite, url: str) -> None:
    """Limit deliveries to two by a policy; the lower of it and of the declared limit holds."""
    policy = {"pattern": ".*", "definition": {"delivery-limit": 1}, "apply-to": "queues"}
    site.management.ask("PUT", f"/api/policies/{urlsplit(url).path[1:]}/limit", policy)


def given_up(queue: Queue, undeliverable: Queue) -> bytes:
    """Requeue a message until the broker dead-letters it; return the envelope."""
    envelopes: list[Delivery] = []

    def step() -> list[Delivery]:
        queue.requeue(queue.receive(max_live=1, max_backfill=1, wait_s=0.1))
        envelopes.extend(undeliverable.receive(max_live=1, max_backfill=0, wait_s=0))
        return envelopes

    wait_until(step)
    return envelopes[0].body
