"""A server that dies, restarts or falls silent: no acknowledged change is missing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.errors import Unavailable
from panopticon.interfaces import Applied
from storage.search.opensearch import OpenSearchIndex
from storage.search.opensearch.connection import OpenSearchTimeouts
from tests.contracts.examples import part, result
from tests.servers.blackhole import Blackhole
from tests.servers.opensearch import OpenSearchNode
from tests.storage.search.opensearch.places import Place, eventually

QUICK = OpenSearchTimeouts(answer_s=1.0)


@pytest.fixture
def node(request: pytest.FixtureRequest) -> OpenSearchNode:
    if "PANOPTICON_TEST_OPENSEARCH_URL" in os.environ:
        pytest.skip("a server of somebody else's is not stopped")
    node: OpenSearchNode = request.getfixturevalue("opensearch_node")
    return node


@pytest.fixture
def index(place: Place) -> Iterator[OpenSearchIndex]:
    with closing(OpenSearchIndex(place.url, timeouts=QUICK)) as index:
        index.create()
        yield index


def test_a_kill_during_writes_loses_nothing_that_was_acknowledged(
    node: OpenSearchNode, index: OpenSearchIndex
) -> None:
    batches = [[result(f"{batch}-{number}", part(cat=0.5)) for number in range(20)] for batch in range(60)]
    outages = 0

    def write() -> None:
        nonlocal outages
        for batch in batches:
            try:
                index.apply(batch)
            except Unavailable:
                outages += 1
                eventually(lambda batch=batch: index.apply(batch))  # type: ignore[misc]

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: _first_of(index, "10-0"))
    node.kill()
    node.start()
    writer.join()
    names = [change.image_id for batch in batches for change in batch]
    assert len(eventually(lambda: index.get(names))) == len(names)
    assert outages > 0


def test_a_silent_server_is_an_outage_within_the_timeout(
    node: OpenSearchNode, index: OpenSearchIndex
) -> None:
    node.pause()
    try:
        with pytest.raises(Unavailable, match="timed out"):
            index.apply([result("a", part())])
    finally:
        node.resume()
    eventually(lambda: index.apply([result("a", part())]))
    assert set(eventually(lambda: index.get(["a"]))) == {"a"}


def test_a_silent_or_cut_connection_is_an_outage_that_ends(place: Place) -> None:
    server = place.url.removeprefix("opensearch://").partition("/")[0]
    hole = Blackhole(int(server.rpartition(":")[2]))
    hole.start()
    try:
        with closing(
            OpenSearchIndex(place.url.replace(server, f"127.0.0.1:{hole.port}"), timeouts=QUICK)
        ) as index:
            index.create()
            with hole.silent(), pytest.raises(Unavailable):
                index.apply([result("a", part())])
            eventually(lambda: index.apply([result("a", part())]))
            hole.cut()
            assert eventually(lambda: index.apply([result("b", part())])) == [Applied.APPLIED]
            assert set(index.get(["a", "b"])) == {"a", "b"}
    finally:
        hole.stop()


def _first_of(index: OpenSearchIndex, image_id: str) -> None:
    """Return the document. Raises: Unavailable until it can be read."""
    if not index.get([image_id]):
        raise Unavailable("search", "not there yet")
