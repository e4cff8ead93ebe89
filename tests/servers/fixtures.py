"""Servers as fixtures: each is started once a run, by the first test that needs it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.cassandra import CassandraCluster, CassandraNode
from tests.servers.guardian import guarded
from tests.servers.opensearch import OpenSearchNode
from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.servers.s3 import S3Server, S3Site
from tests.temporary import folder_of_run

SERVERS = frozenset(
    {
        "cassandra_cluster",
        "cassandra_node",
        "cassandra_url",
        "opensearch_node",
        "opensearch_url",
        "rabbit_node",
        "rabbit_site",
        "s3_server",
        "s3_site",
    }
)
"""The fixtures of this module that start servers."""
FLEET = Path(__file__).parents[1] / "fleet"
SERVER_GROUP = "servers"
NICENESS = 10


def pytest_configure() -> None:
    """Give this process the ID of the run, so that everything that any test starts ends with the run.

    The processes of pytest-xdist are among them: by themselves they take a quarter of a minute.
    """
    os.environ.update(guarded({}))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need a server into one group, which pytest-xdist runs in one process.

    They wait more than they compute, so the others run meanwhile in the other processes, each file as a group
    of its own: what its tests have in common is made once. First of all hooks: pytest-xdist reads the groups
    in its own.
    """
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())) or _is_on_servers(item):
            item.add_marker(pytest.mark.xdist_group(SERVER_GROUP))
        elif item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))


def _is_on_servers(item: pytest.Item) -> bool:
    """Return whether a test asks for the fixture of a server by name while it runs."""
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    is_on_one_file = "on_one_file" in params or "on_one_file" in getattr(item, "fixturenames", ())
    return (item.path.is_relative_to(FLEET) and not is_on_one_file) or "rabbitmq" in params


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the process of the servers go first: many of its tests race a fault against a run of images.

    The other processes compute all the time, and would slow down the starts of workers.
    """
    group = item.get_closest_marker("xdist_group")
    is_other = "PYTEST_XDIST_WORKER" in os.environ and (group is None or group.args != (SERVER_GROUP,))
    if is_other and os.nice(0) < NICENESS:
        os.nice(NICENESS - os.nice(0))


@contextmanager
def only_process(folders: pytest.TempPathFactory, server: str) -> Iterator[None]:
    """Claim a server for this process until the block ends.

    Raises: RuntimeError while another process of the same run has it.
    """
    with (folder_of_run(folders) / f"{server}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another process of this run has started {server}; run pytest with --dist loadgroup"
            raise RuntimeError(message) from None
        yield


@pytest.fixture(scope="session")
def cassandra_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraNode]:
    """A node, which a test may stop, kill or pause if it leaves it running."""
    node = CassandraNode(tmp_path_factory.mktemp("cassandra"))
    with only_process(tmp_path_factory, "Cassandra"), node.running():
        yield node


@pytest.fixture(scope="session")
def cassandra_url(request: pytest.FixtureRequest) -> str:
    """The URL of a server, without a keyspace: PANOPTICON_TEST_CASSANDRA_URL, or that of our node."""
    if url := os.environ.get("PANOPTICON_TEST_CASSANDRA_URL"):
        return url
    node: CassandraNode = request.getfixturevalue("cassandra_node")
    return node.url


@pytest.fixture(scope="module")
def cassandra_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraCluster]:
    """Three nodes, which end with the module that needs them, since they take much memory."""
    cluster = CassandraCluster(tmp_path_factory.mktemp("cluster"), size=3)
    with only_process(tmp_path_factory, "a Cassandra cluster"):
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server, which a test may stop, kill or pause if it leaves it running."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    with only_process(tmp_path_factory, "S3"), server.running():
        yield server


@pytest.fixture(scope="session")
def s3_site(request: pytest.FixtureRequest) -> S3Site:
    """PANOPTICON_TEST_S3_URL, with the keys in AWS's own variables, or our server."""
    if url := os.environ.get("PANOPTICON_TEST_S3_URL"):
        return S3Site(
            url=url,
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        )
    server: S3Server = request.getfixturevalue("s3_server")
    return server.site


@pytest.fixture(scope="session")
def opensearch_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchNode]:
    """A node, which a test may stop, kill or pause if it leaves it running."""
    with only_process(tmp_path_factory, "OpenSearch"), OpenSearchNode().running() as node:
        yield node


@pytest.fixture(scope="session")
def opensearch_url(request: pytest.FixtureRequest) -> str:
    """The URL of a server, without an index: PANOPTICON_TEST_OPENSEARCH_URL, or that of our node."""
    if url := os.environ.get("PANOPTICON_TEST_OPENSEARCH_URL"):
        return url
    node: OpenSearchNode = request.getfixturevalue("opensearch_node")
    return node.url


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node, which a test may stop, kill or pause if it leaves it running."""
    node = RabbitNode(tmp_path_factory.mktemp("rabbitmq"), secure=True)
    with only_process(tmp_path_factory, "RabbitMQ"), node.running():
        yield node


@pytest.fixture(scope="session")
def rabbit_site(request: pytest.FixtureRequest) -> RabbitSite:
    """PANOPTICON_TEST_RABBITMQ_URL, with user, password and management in it, or our node."""
    if url := os.environ.get("PANOPTICON_TEST_RABBITMQ_URL"):
        return RabbitSite(url=url)
    node: RabbitNode = request.getfixturevalue("rabbit_node")
    return node.site
