"""The settings of fleets: on one SQLite file, or on real servers, on which each test has its own names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from panopticon.settings import Settings
from storage.stores import open_store
from tests.fleet.processes import MODELS
from tests.servers.cassandra import CassandraNode
from tests.servers.opensearch import OpenSearchNode
from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.storage.search.opensearch.places import Place
from tests.storage.stores.cassandra.keyspaces import at_keyspace


@pytest.fixture
def store_url(cassandra_node: CassandraNode) -> Iterator[str]:
    """The URL of a keyspace of this test's own."""
    url = at_keyspace(cassandra_node.url, f"panopticon_fleet_{uuid4().hex[:12]}")
    with closing(open_store(url)) as store:
        store.registry.models()
        yield url


@pytest.fixture
def broker_url(rabbit_node: RabbitNode) -> Iterator[str]:
    """The URL of a virtual host of this test's own."""
    with RabbitSite(url=rabbit_node.url).virtual_host() as url:
        yield url


@pytest.fixture
def search_url(opensearch_node: OpenSearchNode) -> Iterator[str]:
    """The URL of an index of this test's own."""
    place = Place(opensearch_node.url)
    yield place.url
    place.drop()


@pytest.fixture
def on_one_file(tmp_path: Path) -> Settings:
    """Settings without a server: SQLite for everything."""
    return _settings(tmp_path)


@pytest.fixture
def on_cassandra(tmp_path: Path, store_url: str) -> Settings:
    """Settings whose store is a server, and the rest SQLite."""
    return _settings(tmp_path).model_copy(update={"store": store_url})


@pytest.fixture
def on_three_servers(tmp_path: Path, broker_url: str, store_url: str, search_url: str) -> Settings:
    """Settings whose broker, store and search are servers."""
    places = {"broker": broker_url, "store": store_url, "search": search_url}
    return _settings(tmp_path).model_copy(update=places)


def _settings(folder: Path) -> Settings:
    return Settings(
        database=f"sqlite:///{folder / 'fleet.db'}",
        models_dir=MODELS,
        cache_dir=folder / "cache",
        file_roots=(folder,),
        park_max_s=2.0,
    )
