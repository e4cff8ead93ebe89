"""Servers as fixtures: each is started once a run, by whichever test needs it first."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.cassandra import CassandraCluster, CassandraNode
from tests.servers.opensearch import OpenSearchNode
from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.servers.s3 import S3Server, S3Site


@pytest.fixture(scope="session")
def cassandra_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraNode]:
    """A node of ours, which a test may stop, kill or pause if it leaves it running."""
    node = CassandraNode(tmp_path_factory.mktemp("cassandra"))
    try:
        node.start()
        yield node
    finally:
        node.kill()


@pytest.fixture(scope="session")
def cassandra_url(request: pytest.FixtureRequest) -> str:
    """A server without a keyspace: PANOPTICON_TEST_CASSANDRA_URL, or a node of ours."""
    if url := os.environ.get("PANOPTICON_TEST_CASSANDRA_URL"):
        return url
    node: CassandraNode = request.getfixturevalue("cassandra_node")
    return node.url


@pytest.fixture(scope="module")
def cassandra_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraCluster]:
    """Three nodes of ours, gone with the module that asked: they need much memory."""
    cluster = CassandraCluster(tmp_path_factory.mktemp("cluster"), size=3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of ours, which a test may stop, kill or pause if it leaves it running."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def s3_site(request: pytest.FixtureRequest) -> S3Site:
    """PANOPTICON_TEST_S3_URL, with the keys in AWS's own variables, or a server of ours."""
    if url := os.environ.get("PANOPTICON_TEST_S3_URL"):
        return S3Site(
            url=url,
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        )
    server: S3Server = request.getfixturevalue("s3_server")
    return server.site


@pytest.fixture(scope="session")
def opensearch_node() -> Iterator[OpenSearchNode]:
    """A node of ours, which a test may stop, kill or pause if it leaves it running."""
    node = OpenSearchNode()
    try:
        node.start()
        yield node
    finally:
        node.discard()


@pytest.fixture(scope="session")
def opensearch_url(request: pytest.FixtureRequest) -> str:
    """A server without an index: PANOPTICON_TEST_OPENSEARCH_URL, or a node of ours."""
    if url := os.environ.get("PANOPTICON_TEST_OPENSEARCH_URL"):
        return url
    node: OpenSearchNode = request.getfixturevalue("opensearch_node")
    return node.url


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node of ours, which a test may stop, kill or pause if it leaves it running."""
    node = RabbitNode(tmp_path_factory.mktemp("rabbitmq"), secure=True)
    try:
        node.start()
        yield node
    finally:
        node.remove()


@pytest.fixture(scope="session")
def rabbit_site(request: pytest.FixtureRequest) -> RabbitSite:
    """PANOPTICON_TEST_RABBITMQ_URL, with user, password and management in it, or a node of ours."""
    if url := os.environ.get("PANOPTICON_TEST_RABBITMQ_URL"):
        return RabbitSite(url=url)
    node: RabbitNode = request.getfixturevalue("rabbit_node")
    return node.site
