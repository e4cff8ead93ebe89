"""Servers for benchmarks: those whose URLs are given, or own nodes that run until the block ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.servers.cassandra import CassandraNode
from tests.servers.opensearch import OpenSearchNode
from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.storage.search.opensearch.places import Place
from tests.storage.stores.cassandra.keyspaces import at_keyspace


@contextmanager
def rabbitmq(url: str | None, folder: Path) -> Iterator[str]:
    """Yield the URL of a new virtual host."""
    node = None if url else RabbitNode(folder / "rabbitmq")
    try:
        if node is not None:
            node.start()
        with RabbitSite(url=url or _url(node)).virtual_host() as place:
            yield place
    finally:
        if node is not None:
            node.remove()


@contextmanager
def cassandra(url: str | None, folder: Path) -> Iterator[str]:
    """Yield the URL of a new keyspace, which stays on a server that was given."""
    node = None if url else CassandraNode(folder / "cassandra")
    try:
        if node is not None:
            node.start()
        yield at_keyspace(url or _url(node), f"panopticon_bench_{uuid4().hex[:12]}")
    finally:
        if node is not None:
            node.kill()


@contextmanager
def opensearch(url: str | None) -> Iterator[str]:
    """Yield the URL of a new index, which is dropped at the end."""
    node = None if url else OpenSearchNode()
    try:
        if node is not None:
            node.start()
        place = Place(url or _url(node))
        yield place.url
        place.drop()
    finally:
        if node is not None:
            node.remove()


def _url(node: RabbitNode | CassandraNode | OpenSearchNode | None) -> str:
    assert node is not None
    return node.url
