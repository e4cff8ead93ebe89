"""The contract of every SearchIndex for queries: it answers like the reference."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panopticon.errors import UsageError
from panopticon.interfaces import SearchIndex
from panopticon.messages import to_ms
from panopticon.results.documents import Change, SearchDocument
from panopticon.results.search import Order, Query, ScoreRange
from tests.contracts.examples import NOON_MS, part, result, tag
from tests.contracts.reference_index import answer
from tests.contracts.search_index import SearchAccess, changes, fold

OLDEST_MS = to_ms(datetime(1, 1, 1, tzinfo=UTC))

IN_TAGGER = Query(parts=("tagger_1",))

LABELS = st.lists(st.sampled_from(["cat", "CAT", "dog", "animal", "STRASSE", "unknown"]), max_size=2).map(
    tuple
)
BOUNDS = st.none() | st.sampled_from([-1.5, 0.0, 0.05, 0.1, 8.0])
RANGES = st.builds(
    ScoreRange, name=st.sampled_from(["sharp", "bright", "unknown"]), minimum=BOUNDS, maximum=BOUNDS
)
QUERIES = st.builds(
    Query,
    parts=st.lists(st.sampled_from(["tagger_1", "tagger_2", "q_1"]), unique=True).map(tuple),
    all_of=LABELS,
    any_of=LABELS,
    min_probability=st.sampled_from([0.0, 0.25, 0.3, 1.0]),
    scores=st.lists(RANGES, max_size=2).map(tuple),
    order=st.sampled_from(Order),
    order_score=st.sampled_from(["sharp", "bright", "unknown"]),
    limit=st.integers(1, 3),
)
WIDE_IDS = [*"abcdef", "é", "z\U0001f992", "z\ue000", "Z"]
"""IDs, some of which have another order in UTF-16, or if case is ignored."""


def everything(index: SearchIndex, query: Query) -> list[SearchDocument]:
    """Return all pages, one after the other; each has documents that no other page has."""
    documents: dict[str, SearchDocument] = {}
    while True:
        page = index.query(query)
        new = {document.image_id: document for document in page.documents}
        assert len(new) == len(page.documents) <= query.limit
        assert not documents.keys() & new.keys()
        documents |= new
        if not page.cursor:
            return list(documents.values())
        assert new
        query = replace(query, cursor=page.cursor)


class SearchQueryContract(SearchAccess):
    def test_labels_are_compared_after_folding(self, index: SearchIndex) -> None:
        index.apply([result("a", replace(part(), tags=(tag("Straße ﬁ"),)))])
        assert self.found(index, replace(IN_TAGGER, all_of=("STRASSE FI",))) == ["a"]

    def test_an_ancestor_finds_the_image(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5)), result("b", part())])
        assert self.found(index, replace(IN_TAGGER, all_of=("Animal",))) == ["a"]

    def test_part_of_a_label_does_not_find_it(self, index: SearchIndex) -> None:
        index.apply([result("a", part(wildcat=0.5))])
        assert self.found(index, replace(IN_TAGGER, all_of=("cat",))) == []

    def test_all_of_asks_for_every_label_and_any_of_for_one(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5, dog=0.5)), result("b", part(cat=0.5)), result("c", part())])
        assert self.found(index, replace(IN_TAGGER, all_of=("cat", "dog"))) == ["a"]
        assert self.found(index, replace(IN_TAGGER, any_of=("cat", "dog"))) == ["a", "b"]

    def test_an_unknown_label_in_all_of_finds_nothing(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5))])
        assert self.found(index, replace(IN_TAGGER, all_of=("cat", "unicorn"))) == []

    def test_the_least_probability_is_included(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5)), result("b", part(cat=0.49))])
        assert self.found(index, replace(IN_TAGGER, all_of=("cat",), min_probability=0.5)) == ["a"]

    def test_of_two_tags_found_by_one_label_the_more_probable_counts(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.9, dog=0.1)), result("b", part(cat=0.5))])
        asked = replace(IN_TAGGER, all_of=("animal",), order=Order.PROBABILITY)
        assert self.found(index, asked) == ["a", "b"]
        assert self.found(index, replace(asked, min_probability=0.6)) == ["a"]

    def test_only_the_named_parts_are_searched(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5)), result("b", part(cat=0.5), name="tagger_2")])
        assert self.found(index, Query(parts=("tagger_2",), all_of=("cat",))) == ["b"]

    def test_both_ends_of_a_score_range_are_included(self, index: SearchIndex) -> None:
        index.apply([result(f"{score}", part(scores={"sharp": score})) for score in (1.0, 1.5, 2.0, 2.5)])
        asked = (ScoreRange(name="sharp", minimum=1.5, maximum=2.0),)
        assert self.found(index, replace(IN_TAGGER, scores=asked)) == ["1.5", "2.0"]

    def test_the_newest_are_first(self, index: SearchIndex) -> None:
        index.apply([result(f"{age}", part(), occurred_at_ms=NOON_MS - age) for age in (2, 0, 1)])
        assert self.found(index, IN_TAGGER) == ["0", "1", "2"]

    def test_an_image_from_before_1970_is_older_than_others_and_an_unknown_time_is_last(
        self, index: SearchIndex
    ) -> None:
        times = {"a": 0, "b": OLDEST_MS, "c": -1, "d": 1, "e": NOON_MS}
        index.apply([result(image_id, part(), occurred_at_ms=at_ms) for image_id, at_ms in times.items()])
        found = self.page(index, IN_TAGGER).documents
        assert [document.image_id for document in found] == ["e", "d", "c", "b", "a"]
        assert {document.image_id: document.occurred_at_ms for document in found} == times

    @pytest.mark.parametrize("limit", [1, 2, 3, 4])
    @pytest.mark.parametrize("labels", [(), ("cat",)])
    def test_pages_go_on_from_dates_to_unknown_times(
        self, index: SearchIndex, limit: int, labels: tuple[str, ...]
    ) -> None:
        times = {"a": 0, "b": -1, "c": 0, "d": 0, "e": -2, "f": 3}
        index.apply(
            [result(image_id, part(cat=0.5), occurred_at_ms=at_ms) for image_id, at_ms in times.items()]
        )
        self.settle()
        query = replace(IN_TAGGER, all_of=labels, order=Order.NEWEST, limit=limit)
        assert [document.image_id for document in everything(index, query)] == list("fbeacd")

    def test_the_most_probable_are_first_whatever_their_other_tags(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5, dog=0.9)), result("b", part(cat=0.6))])
        asked = replace(IN_TAGGER, all_of=("cat",), order=Order.PROBABILITY)
        assert self.found(index, asked) == ["b", "a"]

    def test_the_highest_score_is_first_and_no_score_is_last(self, index: SearchIndex) -> None:
        scored = {"a": -3.0, "b": 5.0, "c": None}
        index.apply(
            [
                result(image_id, part(scores={} if score is None else {"sharp": score}))
                for image_id, score in scored.items()
            ]
        )
        asked = replace(IN_TAGGER, order=Order.SCORE, order_score="sharp")
        assert self.found(index, asked) == ["b", "a", "c"]

    def test_a_range_chooses_the_documents_but_not_the_score_that_orders_them(
        self, index: SearchIndex
    ) -> None:
        index.apply(
            [
                result("a", part(scores={"sharp": 9.0}), name="q_1"),
                result("a", part(scores={"sharp": 1.0}), name="q_2"),
                result("b", part(scores={"sharp": 2.0}), name="q_1"),
            ]
        )
        asked = Query(
            parts=("q_1", "q_2"),
            scores=(ScoreRange(name="sharp", maximum=2.0),),
            order=Order.SCORE,
            order_score="sharp",
        )
        assert self.found(index, asked) == ["a", "b"]

    def test_ties_are_ordered_by_the_code_points_of_their_ids(self, index: SearchIndex) -> None:
        index.apply([result(image_id, part()) for image_id in WIDE_IDS])
        assert self.found(index, IN_TAGGER) == sorted(WIDE_IDS)

    @pytest.mark.parametrize("order", list(Order))
    def test_pages_are_complete_and_without_repeats(self, index: SearchIndex, order: Order) -> None:
        index.apply(
            [
                result(image_id, part(cat=0.5, scores={"sharp": 1.0}), occurred_at_ms=number % 3)
                for number, image_id in enumerate(WIDE_IDS)
            ]
        )
        self.settle()
        query = replace(IN_TAGGER, all_of=("cat",), order=order, order_score="sharp", limit=3)
        paged = [document.image_id for document in everything(index, query)]
        assert paged == self.found(index, replace(query, limit=100))
        assert sorted(paged) == sorted(WIDE_IDS)

    def test_the_last_page_has_no_cursor_even_if_it_is_full(self, index: SearchIndex) -> None:
        index.apply([result("a", part()), result("b", part())])
        assert self.page(index, replace(IN_TAGGER, limit=2)).cursor == ""

    def test_a_cursor_carries_the_parts_it_began_with(self, index: SearchIndex) -> None:
        index.apply([result(image_id, part(cat=0.5)) for image_id in "ab"])
        first = self.page(index, replace(IN_TAGGER, all_of=("cat",), limit=1))
        activated = Query(parts=("tagger_2",), all_of=("cat",), limit=5, cursor=first.cursor)
        second = self.page(index, activated)
        assert [document.image_id for document in second.documents] == ["b"]
        assert second.parts == ("tagger_1",)

    def test_a_cursor_of_another_query_is_refused(self, index: SearchIndex) -> None:
        index.apply([result(image_id, part(cat=0.5)) for image_id in "ab"])
        cursor = self.page(index, replace(IN_TAGGER, all_of=("cat",), limit=1)).cursor
        with pytest.raises(UsageError, match="belongs to another query"):
            index.query(replace(IN_TAGGER, any_of=("cat",), cursor=cursor))

    @pytest.mark.parametrize(
        "cursor",
        [
            "x",
            "ü",
            "eA==",
            base64.urlsafe_b64encode(b"[]").decode(),
            base64.urlsafe_b64encode(b"[" * 100_000).decode(),
            base64.urlsafe_b64encode(
                json.dumps({"of": "", "parts": [5], "rank": "high", "image_id": None}).encode()
            ).decode(),
        ],
        ids=["short", "not-ascii", "no-json", "no-object", "too-deep", "wrong-types"],
    )
    def test_an_invalid_cursor_is_refused(self, index: SearchIndex, cursor: str) -> None:
        with pytest.raises(UsageError, match="cursor"):
            index.query(replace(IN_TAGGER, cursor=cursor))

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_page_without_documents_is_refused(self, index: SearchIndex, limit: int) -> None:
        with pytest.raises(UsageError, match="limit"):
            index.query(replace(IN_TAGGER, limit=limit))

    @given(history=st.lists(changes(image_ids=WIDE_IDS), max_size=16), queries=st.lists(QUERIES, min_size=1))
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    def test_every_answer_agrees_with_the_reference(
        self, history: list[Change], queries: list[Query]
    ) -> None:
        with closing(self.fresh_index()) as index:
            index.apply(history)
            self.settle()
            for query in queries:
                assert everything(index, query) == answer(fold(history), query)
