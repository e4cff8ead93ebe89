"""A broker whose management plug-in cannot be reached: publishing and consuming go on without it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from panopticon.errors import Unavailable
from panopticon.messages import ImageMessage, Lane
from tests.contracts.examples import TAGGER
from tests.end_to_end.command import Installation
from tests.servers.ports import free_ports
from tests.workers.queues.rabbitmq.conftest import OpenBroker


@pytest.fixture
def unmanaged(url: str) -> str:
    """The URL of the broker, with a management URL at which nothing listens."""
    (port,) = free_ports(1)
    query = urlencode({"management": f"http://127.0.0.1:{port}"})
    return urlsplit(url)._replace(query=query).geturl()


def test_images_are_submitted_with_a_warning(
    unmanaged: str, url: str, open_broker: OpenBroker, tmp_path: Path
) -> None:
    installation = Installation(
        folder=tmp_path, cache_dir=tmp_path / "cache", settings=(f"broker={unmanaged}",)
    )
    done = installation.panopticon("submit", "-", stdin=b"1,s3://b/1\n")
    assert (done.exit_code, done.out.splitlines()[0]) == (0, "1 image accepted, lane live."), done.err
    assert done.err.startswith("Cannot check whether any model is bound: queue unavailable: ")
    (delivery,) = open_broker(url).catalogue().receive(max_live=10, max_backfill=10, wait_s=5.0)
    assert b'"image_id":"1"' in delivery.body


def test_messages_are_bound_published_received_retried_and_acknowledged(
    unmanaged: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(unmanaged)
    broker.topology.bind(TAGGER)
    broker.uploads.publish([ImageMessage(image_id="1")], Lane.LIVE)
    queue = broker.model_queue(TAGGER)
    (first,) = queue.receive(max_live=1, max_backfill=1, wait_s=5.0)
    queue.retry(first, delay_s=0.3)
    (again,) = queue.receive(max_live=1, max_backfill=1, wait_s=5.0)
    queue.ack([again])
    assert (again.body, again.attempt) == (first.body, 1)
    with pytest.raises(Unavailable, match="management"):
        queue.depth()
