"""The store goes away during a run: the workers park, and take up where they were."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.settings import Settings
from tests.fleet.trial import trial
from tests.servers.cassandra import CassandraNode


@pytest.mark.parametrize("fault", ["stopped 30 s", "killed and started again", "paused 15 s"])
def test_a_store_that_comes_back_has_every_image(
    tmp_path: Path,
    on_cassandra: Settings,
    cassandra_node: CassandraNode,
    fault: str,
    record_property: Callable[[str, object], None],
) -> None:
    with trial(on_cassandra, tmp_path) as run:
        run.under_way()
        break_and_mend(cassandra_node, fault)
        seconds = run.end()
        run.check()
    record_property("seconds_to_the_end", round(seconds, 1))


def break_and_mend(node: CassandraNode, fault: str) -> None:
    match fault:
        case "stopped 30 s":
            node.stop()
            time.sleep(30)
            node.start()
        case "killed and started again":
            node.kill()
            node.start()
        case "paused 15 s":
            node.pause()
            time.sleep(15)
            node.resume()
