"""The exchanges and queues on the broker: names, routes, and repair after somebody changed them."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from panopticon.errors import Unavailable, UsageError
from panopticon.messages import ImageMessage, Lane, encode
from tests.contracts.broker import bodies
from tests.contracts.examples import QUALITY, TAGGER
from tests.workers.queues.rabbitmq.access import Operator, wait_until
from tests.workers.queues.rabbitmq.conftest import RETRY_DELAY_S, OpenBroker

UPLOADED = b'{"image_id": "1"}'
SHARED = {
    "panopticon.catalogue",
    "panopticon.catalogue.backfill",
    "panopticon.search.live",
    "panopticon.search.backfill",
    "panopticon.undeliverable",
    "panopticon.unrouted",
}


@pytest.fixture
def channel(url: str) -> Iterator[BlockingChannel]:
    """A channel of an upload service in any language, which knows AMQP and the names only."""
    connection = pika.BlockingConnection(pika.URLParameters(url.partition("?")[0]))
    yield connection.channel()
    connection.close()


def test_the_queues_have_the_documented_names(url: str, operator: Operator, open_broker: OpenBroker) -> None:
    open_broker(url, retry_delays_s=(10.0, 60.0, 600.0, 3600.0)).topology.bind(TAGGER)
    assert operator.queues() == SHARED | {
        "panopticon.tagger.1.live",
        "panopticon.tagger.1.backfill",
        "panopticon.retry.10s",
        "panopticon.retry.60s",
        "panopticon.retry.600s",
        "panopticon.retry.3600s",
    }
    assert operator.kinds() == {"quorum"}


@pytest.mark.parametrize("body", [UPLOADED, b"\xff{", b"", b"[]", b'{"event": ["deleted"]}'])
def test_whatever_an_upload_service_publishes_reaches_the_catalogue_and_every_bound_version(
    url: str, channel: BlockingChannel, open_broker: OpenBroker, body: bytes
) -> None:
    broker = open_broker(url)
    broker.topology.bind(TAGGER)
    channel.basic_publish("panopticon.uploads", "image.uploaded", body)
    for queue in (broker.catalogue(), broker.model_queue(TAGGER)):
        (delivery,) = queue.receive(max_live=1, max_backfill=1, wait_s=5)
        assert (delivery.body, delivery.lane, delivery.attempt) == (body, Lane.LIVE, 0)


def test_a_message_with_an_unknown_routing_key_is_kept_in_the_unrouted_queue(
    url: str, channel: BlockingChannel, open_broker: OpenBroker
) -> None:
    open_broker(url).topology.bind(TAGGER)
    channel.confirm_delivery()
    channel.basic_publish("panopticon.uploads", "uploaded.image", UPLOADED, mandatory=True)
    assert channel.basic_get("panopticon.unrouted")[2] == UPLOADED


def test_a_queue_of_another_kind_is_reported_with_the_difference(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    operator.make("panopticon.catalogue")
    with pytest.raises(
        UsageError,
        match=r"queue panopticon.catalogue exists with another x-[a-z-]+ .*; drain it, delete it",
    ):
        open_broker(url).catalogue().submit([UPLOADED], Lane.LIVE)


def test_a_queue_with_another_argument_is_reported_with_the_difference(
    url: str, open_broker: OpenBroker
) -> None:
    open_broker(url, max_results=5).topology.bind(TAGGER)
    with pytest.raises(
        UsageError,
        match=r"panopticon.search.live exists with another x-max-length \(received '6' but .* '5'\)",
    ) as raised:
        open_broker(url, max_results=6).topology.bind(TAGGER)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_other_retry_delays_are_accepted_and_their_messages_counted(
    url: str, open_broker: OpenBroker
) -> None:
    former = open_broker(url, retry_delays_s=(3600,)).model_queue(TAGGER)
    former.submit([b"1"], Lane.LIVE)
    (delivery,) = former.receive(max_live=1, max_backfill=0, wait_s=5)
    former.retry(delivery, delay_s=3600)
    present = open_broker(url, retry_delays_s=(1800,))
    wait_until(lambda: present.model_queue(TAGGER).depth()[Lane.LIVE].retrying == 1)
    assert not present.topology.drop_if_empty(TAGGER)


def test_a_bound_version_is_still_bound_when_its_queue_was_deleted(
    url: str, operator: Operator, channel: BlockingChannel, open_broker: OpenBroker
) -> None:
    broker = open_broker(url)
    broker.topology.bind(TAGGER)
    operator.delete("panopticon.tagger.1.live")
    broker.uploads.publish([ImageMessage(image_id="meanwhile")], Lane.LIVE)
    assert broker.topology.bound() == (TAGGER,)
    assert channel.basic_get("panopticon.unrouted")[2] == encode(ImageMessage(image_id="meanwhile"))
    later = open_broker(url)
    assert later.model_queue(TAGGER).receive(max_live=1, max_backfill=1, wait_s=0) == []
    later.uploads.publish([ImageMessage(image_id="1")], Lane.LIVE)
    (delivery,) = later.model_queue(TAGGER).receive(max_live=1, max_backfill=1, wait_s=5)
    assert delivery.body == encode(ImageMessage(image_id="1"))


def test_a_worker_of_a_dropped_version_does_not_restore_its_binding(
    url: str, open_broker: OpenBroker
) -> None:
    worker, operator = open_broker(url), open_broker(url)
    worker.topology.bind(TAGGER)
    assert operator.topology.drop_if_empty(TAGGER)
    assert worker.model_queue(TAGGER).receive(max_live=1, max_backfill=1, wait_s=0.1) == []
    assert operator.topology.bound() == ()


def test_a_version_with_a_worker_is_not_dropped(url: str, open_broker: OpenBroker) -> None:
    worker = open_broker(url)
    worker.topology.bind(TAGGER)
    worker.model_queue(TAGGER).receive(max_live=1, max_backfill=1, wait_s=0)
    assert not open_broker(url).topology.drop_if_empty(TAGGER)
    assert worker.topology.bound() == (TAGGER,)


def test_a_version_without_recent_retries_is_dropped_even_if_others_use_the_retry_delay(
    url: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(url, retry_delays_s=(1800, 3600))
    broker.topology.bind(TAGGER)
    queue = broker.model_queue(QUALITY)
    queue.submit([b"1"], Lane.LIVE)
    (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=5)
    queue.retry(delivery, delay_s=3600)
    wait_until(lambda: queue.depth()[Lane.LIVE].retrying == 1)
    assert not broker.topology.drop_if_empty(TAGGER, idle_s=3600)
    assert broker.topology.bound() == (TAGGER,)
    assert broker.topology.drop_if_empty(TAGGER, idle_s=3601)
    assert broker.topology.bound() == ()


def test_a_retried_message_waits_until_its_deleted_queue_is_declared_again(
    url: str, operator: Operator, channel: BlockingChannel, open_broker: OpenBroker
) -> None:
    """The message is not lost, and is counted as retrying as long as its queue is missing."""
    broker = open_broker(url)
    queue = broker.model_queue(TAGGER)
    queue.submit([b"1"], Lane.LIVE)
    (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=5)
    queue.retry(delivery, delay_s=0)
    operator.delete("panopticon.tagger.1.live")
    retry_queue = f"panopticon.retry.{RETRY_DELAY_S}s"
    wait_until(lambda: not channel.queue_declare(retry_queue, passive=True).method.message_count)
    another = open_broker(url).model_queue(QUALITY)
    wait_until(lambda: another.depth()[Lane.LIVE].retrying == 1)
    again = open_broker(url).model_queue(TAGGER).receive(max_live=1, max_backfill=0, wait_s=240)
    assert bodies(again) == [b"1"]


def test_a_deleted_search_queue_is_declared_again(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    broker = open_broker(url)
    broker.results().submit([b"1"], Lane.LIVE)
    operator.delete("panopticon.search.live")
    with pytest.raises(Unavailable, match="queue unavailable: no queue takes 'result.live'"):
        broker.results().submit([b"2"], Lane.LIVE)
    broker.results().submit([b"2"], Lane.LIVE)
    assert bodies(broker.results().receive(max_live=9, max_backfill=0, wait_s=5)) == [b"2"]


@pytest.mark.parametrize("exchange", ["panopticon.results", f"panopticon.retry.{RETRY_DELAY_S}s"])
def test_a_deleted_exchange_is_declared_again(
    url: str, operator: Operator, open_broker: OpenBroker, exchange: str
) -> None:
    broker = open_broker(url)
    queue = broker.model_queue(TAGGER)
    queue.submit([b"1"], Lane.LIVE)
    (delivery,) = queue.receive(max_live=1, max_backfill=0, wait_s=5)
    operator.delete_exchange(exchange)

    def published() -> bool:
        broker.results().submit([b"result"], Lane.LIVE)
        queue.retry(delivery, delay_s=RETRY_DELAY_S)
        return True

    wait_until(published, limit_s=5.0)
    assert bodies(queue.receive(max_live=1, max_backfill=0, wait_s=5)) == [b"1"]


def test_a_consumer_continues_after_its_queue_was_deleted(
    url: str, operator: Operator, open_broker: OpenBroker
) -> None:
    consuming, sending = open_broker(url).model_queue(TAGGER), open_broker(url).model_queue(TAGGER)
    assert consuming.receive(max_live=1, max_backfill=1, wait_s=0) == []
    operator.delete("panopticon.tagger.1.live")
    wait_until(lambda: not consuming.receive(max_live=1, max_backfill=1, wait_s=0.2))
    wait_until(lambda: sending.submit([b"1"], Lane.LIVE) is None)
    assert bodies(consuming.receive(max_live=1, max_backfill=1, wait_s=5)) == [b"1"]
