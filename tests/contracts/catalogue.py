"""The contract of every Catalogue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations

import pytest

from panopticon.interfaces import Store
from panopticon.messages import to_ms
from panopticon.results.outputs import CatalogueImage
from tests.contracts.examples import NOON_MS, image
from tests.contracts.store import StoreAccess

EARLY = replace(image(), image_uri="file:///z", occurred_at_ms=0)
LATE = replace(image(), image_uri="file:///elsewhere")
LATE_ELSEWHERE = replace(image(), image_uri="file:///elsewhere/é")
BEFORE_1970 = replace(EARLY, image_uri="file:///b", occurred_at_ms=-1)
MOVED = replace(EARLY, image_uri="file:///y", located_at_ms=1)
MOVED_BACK = replace(EARLY, image_uri="file:///a", located_at_ms=2)
DATES = (MOVED_BACK, replace(BEFORE_1970, occurred_at_ms=-2), BEFORE_1970, replace(EARLY, occurred_at_ms=1))
"""Rows of one revision, each before the next."""
HISTORY = (image(revision=1), image(revision=2), image(revision=2, event="deleted"))


class CatalogueContract(StoreAccess):
    def test_an_image_is_read_as_it_was_put(self, store: Store) -> None:
        put = image("Grüße/🦒", revision=2**53 - 1)
        store.catalogue.put([put])
        assert store.catalogue.get([put.image_id]) == {put.image_id: put}

    def test_unknown_ids_are_absent(self, store: Store) -> None:
        store.catalogue.put([image("a"), image("b")])
        assert store.catalogue.get(["b", "nobody", "b"]) == {"b": image("b")}

    def test_putting_twice_leaves_one_row(self, store: Store) -> None:
        store.catalogue.put([image(), image()])
        store.catalogue.put([image()])
        assert self.count_rows("catalogue") == 1

    @pytest.mark.parametrize("history", list(permutations(HISTORY)))
    def test_the_highest_revision_stays_and_a_delete_wins_a_tie(
        self, store: Store, history: tuple[CatalogueImage, ...]
    ) -> None:
        for each in history:
            store.catalogue.put([each])
        assert store.catalogue.get(["photo"]) == {"photo": HISTORY[2]}

    def test_the_order_inside_a_batch_does_not_matter(self, store: Store) -> None:
        store.catalogue.put(list(reversed(HISTORY)))
        assert store.catalogue.get(["photo"]) == {"photo": HISTORY[2]}

    def test_an_upload_after_a_delete_brings_the_image_back(self, store: Store) -> None:
        store.catalogue.put([*HISTORY, image(revision=3)])
        assert store.catalogue.get(["photo"]) == {"photo": image(revision=3)}

    @pytest.mark.parametrize("history", list(permutations((EARLY, LATE, LATE_ELSEWHERE))))
    def test_of_two_uploads_of_one_revision_the_later_stays_and_then_the_greater_uri(
        self, store: Store, history: tuple[CatalogueImage, ...]
    ) -> None:
        for each in history:
            store.catalogue.put([each])
        assert store.catalogue.get(["photo"]) == {"photo": LATE_ELSEWHERE}

    @pytest.mark.parametrize("history", list(permutations((EARLY, MOVED, MOVED_BACK))))
    def test_of_two_places_of_one_upload_the_one_found_later_stays(
        self, store: Store, history: tuple[CatalogueImage, ...]
    ) -> None:
        for each in history:
            store.catalogue.put([each])
        assert store.catalogue.get(["photo"]) == {"photo": MOVED_BACK}

    @pytest.mark.parametrize("at_ms", [to_ms(datetime(1, 1, 1, tzinfo=UTC)), -1, 0, 1])
    @pytest.mark.parametrize("located_at_ms", [0, NOON_MS])
    @pytest.mark.parametrize("uri", ["file:///a", "\U0010ffff", ""])
    def test_any_time_is_read_as_it_was_put(
        self, store: Store, at_ms: int, located_at_ms: int, uri: str
    ) -> None:
        put = replace(image(), occurred_at_ms=at_ms, located_at_ms=located_at_ms, image_uri=uri)
        store.catalogue.put([put])
        assert store.catalogue.get(["photo"]) == {"photo": put}

    @pytest.mark.parametrize("history", list(permutations(DATES)))
    def test_an_unknown_time_is_before_every_date_of_the_revision(
        self, store: Store, history: tuple[CatalogueImage, ...]
    ) -> None:
        for end in range(len(DATES) - 1):
            dates = {DATES[end], DATES[end + 1]}
            for each in history:
                if each in dates:
                    store.catalogue.put([replace(each, image_id=str(end))])
            assert store.catalogue.get([str(end)]) == {str(end): replace(DATES[end + 1], image_id=str(end))}

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_a_later_upload_of_the_revision_wins_over_a_move(
        self, store: Store, order: tuple[int, int]
    ) -> None:
        history = (MOVED_BACK, LATE)
        for position in order:
            store.catalogue.put([history[position]])
        assert store.catalogue.get(["photo"]) == {"photo": LATE}

    def test_a_uri_with_any_character_is_read_as_it_was_put(self, store: Store) -> None:
        put = [
            replace(image(str(number)), image_uri=uri, located_at_ms=at)
            for number, (uri, at) in enumerate([("\U0010ffff" * 20, 0), ("\U0010ffff", 5), ("", 2**41)])
        ]
        store.catalogue.put(put)
        assert store.catalogue.get(["0", "1", "2"]) == {each.image_id: each for each in put}

    def test_empty_batches_are_harmless(self, store: Store) -> None:
        store.catalogue.put([])
        assert store.catalogue.get([]) == {}
