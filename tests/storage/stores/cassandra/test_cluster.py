"""A cluster of three nodes with three copies: one node may die or fall silent without an outage."""

from __future__ import annotations

from contextlib import closing

import pytest

from storage.stores.cassandra import CassandraStore
from tests.contracts.registry import entry
from tests.recoveries import Recorder
from tests.servers.cassandra import CassandraCluster
from tests.storage.stores.cassandra.keyspaces import at_keyspace
from tests.storage.stores.cassandra.test_faults import writing
from tests.storage.stores.cassandra.waiting import wait_until

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def url(cassandra_cluster: CassandraCluster) -> str:
    return at_keyspace(cassandra_cluster.url, "photos", options="create=1&replication=3")


def test_the_death_of_one_of_three_nodes_is_no_outage(cassandra_cluster: CassandraCluster, url: str) -> None:
    with writing(url) as writer:
        cassandra_cluster.nodes[1].kill()
        for _ in range(20):
            writer.wait_for_more()
        assert writer.outages == 0
        cassandra_cluster.nodes[1].start()
        writer.wait_for_more()


def test_the_silence_of_one_of_three_nodes_is_no_outage(
    cassandra_cluster: CassandraCluster, url: str
) -> None:
    with writing(url) as writer:
        cassandra_cluster.nodes[2].pause()
        try:
            for _ in range(20):
                writer.wait_for_more()
        finally:
            cassandra_cluster.nodes[2].resume()
        assert writer.outages == 0


def test_the_loss_of_the_majority_is_an_outage_until_one_node_is_back(
    cassandra_cluster: CassandraCluster, url: str, recovered: Recorder
) -> None:
    with writing(url) as writer:
        cassandra_cluster.nodes[1].kill()
        cassandra_cluster.nodes[2].kill()
        try:
            wait_until(lambda: writer.outages, within_s=60)
        finally:
            cassandra_cluster.nodes[1].start()
        recovered(writer.wait_for_more())
        cassandra_cluster.nodes[2].start()


def test_models_are_swapped_while_a_node_is_gone(cassandra_cluster: CassandraCluster, url: str) -> None:
    with closing(CassandraStore(url)) as store:
        cassandra_cluster.nodes[2].kill()
        try:
            assert store.registry.swap(None, entry())
            assert store.registry.read("tagger") == entry()
        finally:
            cassandra_cluster.nodes[2].start()
