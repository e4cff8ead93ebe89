"""The findings about a search index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from panopticon.interfaces import Health
from storage.search.opensearch import OpenSearchIndex
from tests.contracts.examples import part, result
from tests.servers.http import HttpServer
from tests.storage.search.opensearch.places import Place

Heard = dict[str, tuple[Health, str, bool]]
"""(health, seen, last) of each finding, by its check."""


@pytest.fixture
def index(place: Place) -> Iterator[OpenSearchIndex]:
    with closing(OpenSearchIndex(f"{place.url}?replicas=0")) as index:
        yield index


def heard(index: OpenSearchIndex) -> Heard:
    return {
        finding.check.removeprefix("search: "): (finding.health, finding.seen, finding.last)
        for finding in index.diagnose()
    }


def test_a_missing_index_is_reported_and_not_created(place: Place, index: OpenSearchIndex) -> None:
    assert heard(index)["index"] == (Health.WARN, f"{place.name} does not exist", True)
    assert place.indexes() == {}


def test_a_sound_index_is_reported_with_its_documents(place: Place, index: OpenSearchIndex) -> None:
    index.create()
    index.apply([result("a", part())])
    place.refresh()
    found = heard(index)
    assert found["index"] == (Health.OK, f"{place.name}-000001, 1 documents", False)
    assert found["shards"] == (Health.OK, "green", False)
    assert found["server"][1].startswith("OpenSearch ")


def test_a_missing_replica_is_a_warning(place: Place) -> None:
    with closing(OpenSearchIndex(f"{place.url}?replicas=1")) as index:
        index.create()
        assert heard(index)["shards"] == (Health.WARN, "yellow", False)


def test_blocked_writes_are_reported(place: Place, index: OpenSearchIndex) -> None:
    index.create()
    place.block("read_only_allow_delete", True)
    assert heard(index)["writes"] == (Health.FAIL, "blocked by index.blocks.read_only_allow_delete", True)
    place.block("read_only_allow_delete", None)
    assert "writes" not in heard(index)


def test_a_rebuild_under_way_and_former_indexes_are_reported(place: Place, index: OpenSearchIndex) -> None:
    index.create()
    rebuild = index.rebuild()
    assert heard(index)["rebuild"][0] is Health.WARN
    rebuild.finish(fewer=False)
    assert heard(index)["former"] == (Health.WARN, f"{place.name}-000001", False)
    index.drop_former()
    assert {"rebuild", "former"} & heard(index).keys() == set()


def test_the_index_of_another_program_is_a_failure(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}-000001", {"aliases": {place.name: {}}})
    health, seen, last = heard(index)["server"]
    assert (health, last) == (Health.FAIL, True)
    assert "belongs to another program" in seen


def test_a_server_that_is_down_is_a_failure() -> None:
    with HttpServer() as server:
        port = server.port
    with closing(OpenSearchIndex(f"opensearch://127.0.0.1:{port}/photos")) as index:
        assert [(finding.health, finding.last) for finding in index.diagnose()] == [(Health.FAIL, True)]
