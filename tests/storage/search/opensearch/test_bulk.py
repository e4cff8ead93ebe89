"""Changes that meet other changes, a full disk or an overloaded server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panopticon.errors import Unavailable
from panopticon.interfaces import Applied
from panopticon.results.documents import Change, SearchDocument
from panopticon.results.search import Query
from storage.search.opensearch import OpenSearchIndex
from storage.search.opensearch.bulk import CONFLICTS
from storage.search.opensearch.connection import OpenSearchTimeouts
from tests.contracts.examples import part, result, tag
from tests.contracts.search_index import changes, fold
from tests.storage.search.opensearch.places import Place, eventually

TOO_LONG = replace(part(), tags=(tag("x" * 40_000),))
"""The length of a label that is too long to be a term of Lucene."""


@pytest.fixture
def index(place: Place) -> Iterator[OpenSearchIndex]:
    with closing(OpenSearchIndex(place.url)) as index:
        index.create()
        yield index


@contextmanager
def setting(place: Place, name: str, value: str) -> Iterator[None]:
    """Change a setting of the whole cluster for the duration of the block."""
    place.ask("PUT", "/_cluster/settings", {"transient": {name: value}})
    try:
        yield
    finally:
        place.ask("PUT", "/_cluster/settings", {"transient": {name: None}})


def outage(index: OpenSearchIndex, *batch: Change) -> str:
    with pytest.raises(Unavailable) as raised:
        index.apply(batch)
    assert raised.value.component == "search"
    return raised.value.reason


def test_a_document_that_the_server_refuses_fails_no_other(index: OpenSearchIndex) -> None:
    batch = [result("a", part(cat=0.5)), result("b", TOO_LONG), result("c", part(cat=0.5))]
    assert index.apply(batch) == [Applied.APPLIED, Applied.REFUSED, Applied.APPLIED]
    assert set(index.get(["a", "b", "c"])) == {"a", "c"}


def test_an_impossible_time_or_id_is_refused_alone(index: OpenSearchIndex) -> None:
    batch = [result("a", part(), occurred_at_ms=2**63), result("b" * 513, part()), result("c", part())]
    assert index.apply(batch) == [Applied.REFUSED, Applied.REFUSED, Applied.APPLIED]


def test_a_batch_larger_than_one_request_is_answered_in_order(index: OpenSearchIndex) -> None:
    large = replace(part(), tags=tuple(tag(f"{number} " * 500) for number in range(40)))
    batch = [result(str(number), large) for number in range(100)]
    batch.insert(60, result("bad", TOO_LONG))
    answers = index.apply(batch)
    assert [number for number, answer in enumerate(answers) if answer is not Applied.APPLIED] == [60]


def test_a_full_disk_is_an_outage_until_there_is_room(place: Place, index: OpenSearchIndex) -> None:
    place.block("read_only_allow_delete", True)
    assert "flood-stage" in outage(index, result("a", part()))
    place.block("read_only_allow_delete", None)
    assert index.apply([result("a", part())]) == [Applied.APPLIED]


def test_a_closed_index_is_an_outage(place: Place, index: OpenSearchIndex) -> None:
    place.ask("POST", "/{}/_close")
    assert "index_closed_exception" in outage(index, result("a", part()))


def test_an_overloaded_server_is_an_outage_until_it_recovers(place: Place, index: OpenSearchIndex) -> None:
    with setting(place, "network.breaker.inflight_requests.limit", "200b"):
        assert "429 circuit_breaking_exception" in outage(index, result("a", part()))
    assert index.apply([result("a", part())]) == [Applied.APPLIED]


def test_a_missing_shard_is_an_outage_of_every_call_and_never_an_incomplete_answer(place: Place) -> None:
    timeouts = OpenSearchTimeouts(shard_s=0.2)
    with closing(OpenSearchIndex(f"{place.url}?shards=2", timeouts=timeouts)) as index:
        with setting(place, "cluster.routing.allocation.enable", "none"):
            index.create()
            with pytest.raises(Unavailable, match="No shard available"):
                index.get(["a"])
            assert "primary shard is not active" in outage(index, result("a", part()))
            with pytest.raises(Unavailable, match="missing shards"):
                index.query(Query(parts=("tagger_1",)))
        eventually(lambda: index.apply([result("a", part())]))


@pytest.mark.parametrize("tries", [0, CONFLICTS], ids=["ours", "the server's"])
def test_many_writers_of_one_document_end_as_the_merge_rule_says(
    place: Place, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    monkeypatch.setattr("storage.search.opensearch.bulk.CONFLICTS", tries)
    history = [
        result(
            "a", part(revision=number % 7, policy_number=number, cat=number / 100), name=f"m{number % 3}_1"
        )
        for number in range(1, 91)
    ]

    with closing(OpenSearchIndex(place.url)) as index:
        index.create()

    def write(share: list[Change]) -> list[Applied]:
        with closing(OpenSearchIndex(place.url)) as index:
            return [eventually(partial(index.apply, [change]))[0] for change in share]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(write, [history[first::6] for first in range(6)]))
    assert all(answer is not Applied.REFUSED for share in answers for answer in share)
    with closing(OpenSearchIndex(place.url)) as index:
        assert index.get(["a"]) == fold(history)


@given(history=st.lists(changes(), max_size=10), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_with_repeats_ends_in_one_document(
    place: Place, history: list[Change], data: st.DataObject
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    place.empty()
    with closing(OpenSearchIndex(place.url)) as index:
        index.create()
        index.apply(data.draw(st.permutations(history + repeats)))
        assert without_rivals(index.get(list("abc"))) == without_rivals(fold(history))


def without_rivals(documents: dict[str, SearchDocument]) -> dict[str, SearchDocument]:
    """Return documents without tags and scores.

    Of two parts with one rank the first stays, and no system makes two: so only ranks are compared.
    """
    return {
        image_id: replace(
            document,
            parts={name: replace(part, tags=(), scores={}) for name, part in document.parts.items()},
        )
        for image_id, document in documents.items()
    }
