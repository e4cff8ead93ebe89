"""The contract of every SearchIndex for changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import permutations
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panopticon.interfaces import Applied, SearchIndex
from panopticon.messages import Tag
from panopticon.results.documents import Change, ChangeKind, Part, SearchDocument, merge
from panopticon.results.search import Query, SearchPage
from tests.contracts.examples import NOON_MS, deletion, part, result, tag


class ClosableIndex(SearchIndex, Protocol):
    """A SearchIndex that can be closed, as every adapter can."""

    def close(self) -> None: ...


class SearchAccess:
    """The access to one search index, which is empty at the beginning of each test."""

    def open_index(self) -> ClosableIndex:
        """Open another client of the same index."""
        raise NotImplementedError

    def fresh_index(self) -> ClosableIndex:
        """Open an empty index for each example."""
        raise NotImplementedError

    def settle(self) -> None:
        """Return when everything that was applied so far can be found."""

    @pytest.fixture
    def index(self) -> Iterator[SearchIndex]:
        with closing(self.open_index()) as index:
            index.create()
            yield index

    def found(self, index: SearchIndex, query: Query) -> list[str]:
        return [document.image_id for document in self.page(index, query).documents]

    def page(self, index: SearchIndex, query: Query) -> SearchPage:
        self.settle()
        return index.query(query)


REVISIONS = st.integers(0, 2)
TIMES = st.integers(-2, 2)
TAGS = st.lists(
    st.builds(
        Tag,
        label=st.sampled_from(["cat", "Cat", "dog", "straße"]),
        probability=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        ancestors=st.sampled_from([(), ("animal",), ("animal", "cat")]),
    ),
    max_size=3,
).map(tuple)
SCORES = st.dictionaries(st.sampled_from(["sharp", "bright"]), st.sampled_from([-1.5, 0.0, 0.1, 7.0]))


@st.composite
def changes(draw: st.DrawFn, image_ids: Sequence[str] = "abc") -> Change:
    """A strategy for a step in the history of any of these images."""
    kind = draw(st.sampled_from([ChangeKind.RESULT] * 4 + [ChangeKind.FAILED, ChangeKind.DELETED]))
    revision = draw(REVISIONS)
    change = Change(
        kind=kind, image_id=draw(st.sampled_from(image_ids)), revision=revision, occurred_at_ms=draw(TIMES)
    )
    if kind is not ChangeKind.RESULT:
        return change
    content = Part(
        revision=revision, policy_number=draw(st.integers(1, 2)), tags=draw(TAGS), scores=draw(SCORES)
    )
    return replace(change, part_name=draw(st.sampled_from(["tagger_1", "tagger_2", "q_1"])), part=content)


def fold(history: list[Change]) -> dict[str, SearchDocument]:
    documents: dict[str, SearchDocument] = {}
    for change in history:
        before = documents.get(change.image_id, SearchDocument(image_id=change.image_id))
        documents[change.image_id] = merge(before, change)
    return documents


class SearchIndexContract(SearchAccess):
    def test_a_result_makes_a_document(self, index: SearchIndex) -> None:
        put = replace(part(revision=2, scores={"sharp": 0.25}), tags=(tag("Grüße 🦒"),))
        assert index.apply([result("photo/ü", put)]) == [Applied.APPLIED]
        document = SearchDocument(
            image_id="photo/ü", revision=2, occurred_at_ms=NOON_MS, parts={"tagger_1": put}
        )
        assert index.get(["photo/ü", "nobody"]) == {"photo/ü": document}

    def test_parts_of_one_revision_are_kept_together(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5))])
        index.apply([result("a", part(scores={"sharp": 1}), name="quality_1")])
        assert set(index.get(["a"])["a"].parts) == {"tagger_1", "quality_1"}

    def test_a_repeated_change_is_stale(self, index: SearchIndex) -> None:
        change = result("a", part(cat=0.5))
        assert index.apply([change, change]) == [Applied.APPLIED, Applied.STALE]
        assert index.apply([change]) == [Applied.STALE]

    def test_an_older_revision_is_stale(self, index: SearchIndex) -> None:
        index.apply([result("a", part(revision=2, cat=0.5))])
        assert index.apply([result("a", part(revision=1, dog=0.5))]) == [Applied.STALE]
        assert index.get(["a"])["a"].revision == 2

    def test_an_older_policy_is_stale_and_a_newer_one_is_applied(self, index: SearchIndex) -> None:
        index.apply([result("a", part(policy_number=2, cat=0.5))])
        older, newer = part(policy_number=1, dog=0.5), part(policy_number=3, dog=0.5)
        assert index.apply([result("a", older), result("a", newer)]) == [Applied.STALE, Applied.APPLIED]
        assert index.get(["a"])["a"].parts == {"tagger_1": newer}

    def test_a_newer_revision_drops_every_older_part(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5)), result("a", part(), name="quality_1")])
        index.apply([result("a", part(revision=1, dog=0.5))])
        assert set(index.get(["a"])["a"].parts) == {"tagger_1"}

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_a_delete_wins_a_tie_in_any_order(self, index: SearchIndex, order: tuple[int, ...]) -> None:
        history = [result("a", part(cat=0.5)), deletion("a"), result("a", part(), name="quality_1")]
        for number in order:
            index.apply([history[number]])
        assert index.get(["a"]) == {
            "a": SearchDocument(image_id="a", revision=0, deleted=True, occurred_at_ms=NOON_MS)
        }

    def test_a_tombstone_is_kept_but_not_found(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5)), deletion("a")])
        assert self.found(index, Query(parts=("tagger_1",))) == []
        assert index.get(["a"])["a"].deleted

    def test_a_later_revision_brings_a_deleted_image_back(self, index: SearchIndex) -> None:
        index.apply([deletion("a"), result("a", part(revision=1, cat=0.5))])
        assert self.found(index, Query(parts=("tagger_1",), all_of=("cat",))) == ["a"]

    def test_a_failure_raises_the_revision_and_drops_older_parts(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5))])
        assert index.apply([Change(kind=ChangeKind.FAILED, image_id="a", revision=1)]) == [Applied.APPLIED]
        assert index.get(["a"])["a"] == SearchDocument(image_id="a", revision=1)

    @pytest.mark.parametrize("order", list(permutations((-2, 0, -1))))
    def test_an_unknown_time_is_before_every_date_of_the_revision(
        self, index: SearchIndex, order: tuple[int, ...]
    ) -> None:
        for at_ms in order:
            index.apply([Change(kind=ChangeKind.FAILED, image_id="a", revision=0, occurred_at_ms=at_ms)])
        assert index.get(["a"])["a"].occurred_at_ms == -1

    @pytest.mark.parametrize(
        "refused",
        [
            part(scores={"sharp": math.nan}),
            part(scores={"sharp": math.inf}),
            replace(part(), tags=(tag("\ud800"),)),
        ],
        ids=["nan", "infinity", "no-unicode"],
    )
    def test_a_change_that_cannot_be_stored_is_refused_alone(self, index: SearchIndex, refused: Part) -> None:
        batch = [result("a", part(cat=0.5)), result("b", refused), result("c", part(cat=0.5))]
        assert index.apply(batch) == [Applied.APPLIED, Applied.REFUSED, Applied.APPLIED]
        assert set(index.get(["a", "b", "c"])) == {"a", "c"}

    def test_a_refused_change_leaves_its_document_as_it_was(self, index: SearchIndex) -> None:
        held = part(cat=0.5)
        index.apply([result("a", held), result("a", part(revision=1, scores={"sharp": math.nan}))])
        assert index.get(["a"])["a"].parts == {"tagger_1": held}

    def test_a_replaced_part_is_not_found_any_more(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5))])
        index.apply([result("a", part(policy_number=2, dog=0.5))])
        assert self.found(index, Query(parts=("tagger_1",), all_of=("cat",))) == []
        assert self.found(index, Query(parts=("tagger_1",), all_of=("dog",))) == ["a"]

    def test_documents_outlive_the_client_that_applied_them(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5))])
        with closing(self.open_index()) as other:
            assert set(other.get(["a"])) == {"a"}

    def test_an_empty_batch_is_harmless(self, index: SearchIndex) -> None:
        assert index.apply([]) == []
        assert index.get([]) == {}

    @given(history=st.lists(changes(), max_size=12), cuts=st.lists(st.integers(0, 12), max_size=3))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    def test_any_history_in_any_batches_ends_as_the_merge_rule_says(
        self, history: list[Change], cuts: list[int]
    ) -> None:
        with closing(self.fresh_index()) as index:
            for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 12], strict=True):
                index.apply(history[low:high])
            assert index.get(list("abc")) == fold(history)
