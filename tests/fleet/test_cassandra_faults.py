"""A store that is down: only here do workers and an indexer lose Cassandra, and park until it is back.

The adapter alone under the same faults is in tests/storage/stores/cassandra/test_faults.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from panopticon.settings import Settings
from tests.fleet.trial import trial
from tests.recoveries import Recorder
from tests.servers.cassandra import CassandraCluster, CassandraNode
from tests.storage.stores.cassandra.keyspaces import at_keyspace


@pytest.mark.parametrize("fault", ["stopped", "killed and started again", "paused"])
def test_every_image_is_stored_though_cassandra_was(
    tmp_path: Path,
    on_cassandra: Settings,
    cassandra_node: CassandraNode,
    fault: str,
    recovered: Recorder,
) -> None:
    with trial(on_cassandra, tmp_path) as run:
        run.wait_until_under_way()
        noticed = partial(run.wait_until_parked, "slow", "store", publishing=True)
        break_and_restore(cassandra_node, fault, noticed=noticed)
        recovered(run.resumed_s())
        run.end()
        run.check()


@pytest.mark.soak
def test_every_image_is_stored_though_one_of_three_nodes_was_killed(
    tmp_path: Path, on_one_file: Settings, cassandra_cluster: CassandraCluster, recovered: Recorder
) -> None:
    store = at_keyspace(cassandra_cluster.url, "fleet", options="create=1&replication=3")
    with trial(on_one_file.model_copy(update={"store": store}), tmp_path) as run:
        run.wait_until_under_way()
        cassandra_cluster.nodes[1].kill()
        recovered(run.resumed_s())
        run.end()
        run.check()
        assert "parked" not in run.fleet.log("slow")


def break_and_restore(node: CassandraNode, fault: str, *, noticed: Callable[[], None]) -> None:
    match fault:
        case "stopped":
            node.stop()
            noticed()
            node.start()
        case "killed and started again":
            node.kill()
            node.start()
        case "paused":
            node.pause()
            noticed()
            node.resume()
