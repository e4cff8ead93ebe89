"""The contract of every SearchIndex for lists and counts of documents."""

from __future__ import annotations

from panopticon.interfaces import SearchIndex
from tests.contracts.examples import deletion, part, result
from tests.contracts.search_index import SearchAccess

WIDE_IDS = ["Z", "a", "b", "z\ue000", "z\U0001f992", "é"]
"""IDs in the order of their UTF-8 bytes, which is not that of UTF-16."""


class SearchListingContract(SearchAccess):
    def test_ids_are_listed_in_order_page_by_page(self, index: SearchIndex) -> None:
        index.apply([result(image_id, part(cat=0.5)) for image_id in reversed(WIDE_IDS)])
        self.settle()
        listed: list[str] = []
        while page := index.image_ids(after=listed[-1] if listed else "", limit=2):
            assert len(page) <= 2
            listed += page
        assert listed == sorted(WIDE_IDS, key=str.encode)

    def test_tombstones_are_neither_listed_nor_counted(self, index: SearchIndex) -> None:
        index.apply([result("a", part(cat=0.5)), result("b", part(cat=0.5)), deletion("b", revision=1)])
        self.settle()
        assert index.image_ids(limit=9) == ["a"]
        assert index.image_ids(limit=9, tombstones=True) == ["a", "b"]
        assert (index.count(), index.count(["tagger_1"])) == (1, 1)

    def test_documents_are_listed_and_counted_by_their_parts(self, index: SearchIndex) -> None:
        both, one = result("a", part(), name="tagger_2"), result("b", part(), name="tagger_2")
        index.apply([result("a", part(cat=0.5)), both, one])
        self.settle()
        assert index.image_ids(limit=9, part="tagger_1") == ["a"]
        assert index.image_ids(limit=9, part="tagger_2") == ["a", "b"]
        assert [index.count(parts) for parts in (["tagger_1"], ["tagger_2"], ["tagger_1", "tagger_2"])] == [
            1,
            2,
            1,
        ]

    def test_a_part_without_tags_and_scores_counts(self, index: SearchIndex) -> None:
        index.apply([result("a", part())])
        self.settle()
        assert (index.image_ids(limit=9, part="tagger_1"), index.count(["tagger_1"])) == (["a"], 1)

    def test_a_part_disappears_with_its_revision(self, index: SearchIndex) -> None:
        index.apply([result("a", part()), result("a", part(revision=1), name="tagger_2")])
        self.settle()
        assert (index.count(["tagger_1"]), index.count(["tagger_2"])) == (0, 1)

    def test_documents_of_an_older_policy_are_listed(self, index: SearchIndex) -> None:
        index.apply(
            [
                result(image_id, part(policy_number=number))
                for image_id, number in zip("abc", (1, 2, 3), strict=True)
            ]
        )
        index.apply([result("c", part(policy_number=1), name="tagger_2")])
        self.settle()
        assert index.image_ids(limit=9, part="tagger_1", policy_below=3) == ["a", "b"]
        index.apply([result("a", part(policy_number=3))])
        self.settle()
        assert index.image_ids(limit=9, part="tagger_1", policy_below=3) == ["b"]
