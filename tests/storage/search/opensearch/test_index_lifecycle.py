"""The creation of an index, and the indexes that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Applied
from panopticon.results.search import Query
from storage.search.opensearch import OpenSearchIndex
from storage.search.opensearch.connection import OpenSearchConnection
from tests.contracts.examples import part, result
from tests.end_to_end.command import every_program_of_search, is_refused_at_the_start
from tests.storage.search.opensearch.places import Place


@pytest.fixture
def index(place: Place) -> Iterator[OpenSearchIndex]:
    with closing(OpenSearchIndex(place.url)) as index:
        yield index


def mapping(version: int, **meta: Any) -> dict[str, Any]:
    return {"mappings": {"_meta": {"program": "panopticon", "version": version, **meta}}}


def refusal(index: OpenSearchIndex) -> str:
    with pytest.raises(UsageError) as raised:
        index.get(["a"])
    return str(raised.value)


def test_a_numbered_index_is_created_behind_the_alias(place: Place, index: OpenSearchIndex) -> None:
    assert not index.exists()
    index.create()
    assert (index.exists(), index.get(["a"])) == (True, {})
    assert place.indexes() == {f"{place.name}-000001": {place.name}}


def test_reading_stores_nothing_on_the_server(place: Place, index: OpenSearchIndex) -> None:
    stored: list[str] = []
    ask = OpenSearchConnection.ask

    def noting(self: OpenSearchConnection, method: str, path: str, body: Any = None, **params: str) -> Any:
        if method == "PUT":
            stored.append(path)
        return ask(self, method, path, body, **params)

    with closing(OpenSearchIndex(place.url)) as reader, pytest.MonkeyPatch.context() as patched:
        index.create()
        patched.setattr(OpenSearchConnection, "ask", noting)
        reader.get(["a"])
        reader.query(Query(parts=("tagger_1",)))
        assert stored == []
        reader.apply([result("a", part())])
        assert len(stored) == 1


def test_simultaneous_creations_make_one_index(place: Place) -> None:
    def use(number: int) -> list[Applied]:
        with closing(OpenSearchIndex(place.url)) as index:
            index.create()
            return index.apply([result(str(number), part())])

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(6))) == [[Applied.APPLIED]] * 6
    assert len(place.indexes()) == 1
    place.refresh()
    assert place.ask("GET", "/{}/_count")["count"] == 6


def test_an_index_has_the_shards_and_replicas_of_the_url(place: Place) -> None:
    with closing(OpenSearchIndex(f"{place.url}?shards=3&replicas=0")) as index:
        index.create()
    (settings,) = place.ask("GET", "/{}/_settings").values()
    assert settings["settings"]["index"]["number_of_shards"] == "3"
    assert settings["settings"]["index"]["number_of_replicas"] == "0"


def test_pages_are_whole_over_several_shards(place: Place) -> None:
    with closing(OpenSearchIndex(f"{place.url}?shards=3")) as index:
        index.create()
        index.apply([result(f"{number:02}", part(cat=0.5)) for number in range(20)])
        place.refresh()
        page = index.query(Query(parts=("tagger_1",), all_of=("cat",), limit=15))
        assert [document.image_id for document in page.documents] == [f"{number:02}" for number in range(15)]


def test_a_newer_mapping_is_refused_with_both_numbers(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}-000001", {**mapping(3), "aliases": {place.name: {}}})
    assert "has version 3, this program knows 2; upgrade panopticon" in refusal(index)


@every_program_of_search
def test_a_newer_mapping_is_one_line_in_every_program(
    place: Place, tmp_path: Path, command: tuple[str, ...]
) -> None:
    place.ask("PUT", "/{}-000001", {**mapping(3), "aliases": {place.name: {}}})
    is_refused_at_the_start(tmp_path, command, ("has version 3", "upgrade panopticon"), search=place.url)


def test_an_older_mapping_is_refused_with_the_way_out(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}-000001", {**mapping(1), "aliases": {place.name: {}}})
    assert "has version 1, this program needs 2; name another index" in refusal(index)


def test_the_index_of_another_program_is_refused(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}-000001", {"aliases": {place.name: {}}})
    assert "belongs to another program" in refusal(index)


def test_an_index_with_the_name_of_the_alias_is_refused(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}", mapping(2))
    assert "is an index, and must be an alias of one" in refusal(index)


def test_an_alias_of_two_indexes_is_refused(place: Place, index: OpenSearchIndex) -> None:
    for number in (1, 2):
        place.ask("PUT", f"/{{}}-00000{number}", {**mapping(2), "aliases": {place.name: {}}})
    assert f"points at {place.name}-000001 and {place.name}-000002" in refusal(index)


def test_an_index_that_lost_its_alias_is_not_replaced_by_a_new_one(
    place: Place, index: OpenSearchIndex
) -> None:
    place.ask("PUT", "/{}-000001", mapping(2))
    with pytest.raises(Unavailable, match=f"{place.name}-000001 exists without that alias"):
        index.get(["a"])
    with pytest.raises(UsageError, match=f"exists without its alias {place.name}; add the alias"):
        index.create()


def test_an_alias_with_a_longer_name_belongs_to_another_index(place: Place, index: OpenSearchIndex) -> None:
    place.ask("PUT", "/{}-other", {"aliases": {f"{place.name}2": {}, f"{place.name}-x": {}}})
    index.create()
    index.apply([result("a", part())])
    assert place.indexes()[f"{place.name}-000001"] == {place.name}


def test_an_unknown_field_is_refused_by_the_mapping(place: Place, index: OpenSearchIndex) -> None:
    index.create()
    line = f'{{"index": {{"_index": "{place.name}"}}}}\n{{"colour": "red"}}\n'
    (item,) = place.ask("POST", "/_bulk", line)["items"]
    assert item["index"]["error"]["type"] == "strict_dynamic_mapping_exception"


def test_a_deleted_script_is_stored_again(place: Place, index: OpenSearchIndex) -> None:
    index.create()
    index.apply([result("a", part())])
    scripts = place.ask("GET", "/_cluster/state/metadata")["metadata"]["stored_scripts"]
    for ours in [name for name in scripts if name.startswith("panopticon-merge-")]:
        place.ask("DELETE", f"/_scripts/{ours}")
    assert index.apply([result("b", part())]) == [Applied.APPLIED]
