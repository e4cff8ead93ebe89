"""RabbitMQ, Cassandra and OpenSearch together: only here does a fleet on all three survive the loss of one.

Each adapter alone under faults is in its own folder; the consumer's rules are in tests/workers/worker/.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from panopticon.settings import Settings
from tests.fleet.trial import trial, wait_for
from tests.recoveries import Recorder
from tests.servers.opensearch import OpenSearchNode
from tests.servers.rabbitmq import RabbitNode


def test_every_image_is_stored_and_in_search(tmp_path: Path, on_three_servers: Settings) -> None:
    with trial(on_three_servers, tmp_path) as run:
        run.end()
        run.check()


@pytest.mark.parametrize("fault", ["killed and started again", "silent"])
def test_no_image_is_lost_though_the_broker_was(
    tmp_path: Path,
    on_three_servers: Settings,
    rabbit_node: RabbitNode,
    fault: str,
    recovered: Recorder,
) -> None:
    with trial(on_three_servers, tmp_path) as run:
        run.wait_until_under_way()
        if fault == "silent":
            with run.work_in_progress():
                rabbit_node.pause()
            run.wait_until_parked("slow", "queue")
            rabbit_node.resume()
        else:
            rabbit_node.kill()
            rabbit_node.start()
        recovered(run.resumed_s())
        run.end()
        run.check()


def test_no_image_is_lost_though_a_worker_was_killed(
    tmp_path: Path, on_three_servers: Settings, recovered: Recorder
) -> None:
    with trial(on_three_servers, tmp_path) as run:
        for _ in range(3):
            run.wait_until_under_way()
            run.fleet.kill_worker()
            run.fleet.kill_model()
            recovered(run.resumed_s())
        run.end()
        run.check()


def test_no_image_is_lost_though_the_broker_had_a_memory_alarm(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode, recovered: Recorder
) -> None:
    with trial(on_three_servers, tmp_path) as run:
        run.wait_until_under_way()
        with ExitStack() as alarm:
            with run.work_in_progress():
                alarm.enter_context(rabbit_node.memory_alarm())
            run.wait_until_parked("slow", "queue")
        recovered(run.resumed_s())
        run.end()
        run.check()


def test_connections_closed_by_the_broker_are_opened_again(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode, recovered: Recorder
) -> None:
    vhost = urlsplit(on_three_servers.broker).path.removeprefix("/")
    with trial(on_three_servers, tmp_path) as run:
        run.wait_until_under_way()
        rabbit_node.management.close_connections(vhost)
        recovered(run.resumed_s())
        run.end()
        run.check()


def test_channels_closed_by_the_broker_for_holding_too_long_are_opened_again(
    tmp_path: Path, on_three_servers: Settings, rabbit_node: RabbitNode, recovered: Recorder
) -> None:
    with rabbit_node.configured("consumer_timeout", "2000"), trial(on_three_servers, tmp_path) as run:
        run.wait_until_under_way()
        with run.fleet.silent_model():
            wait_for(lambda: "delivery acknowledgement on channel" in run.fleet.log("slow"))
        recovered(run.resumed_s())
        run.end()
        run.check()


def test_every_result_is_in_search_though_search_was_down(
    tmp_path: Path, on_three_servers: Settings, opensearch_node: OpenSearchNode, recovered: Recorder
) -> None:
    with trial(on_three_servers, tmp_path) as run:
        run.wait_until_under_way()
        with run.work_in_progress():
            opensearch_node.kill()
        run.wait_until_parked("indexer", "search")
        opensearch_node.start()
        recovered(run.resumed_s(run.searchable))
        run.end()
        run.check()
