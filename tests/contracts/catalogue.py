"""The contract of every Catalogue."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from panopticon.interfaces import Store
from panopticon.results.outputs import CatalogueImage
from tests.contracts.examples import image
from tests.contracts.store import StoreAccess

EARLY = replace(image(), image_uri="file:///z", occurred_at_ms=0)
LATE = replace(image(), image_uri="file:///elsewhere")
LATE_ELSEWHERE = replace(image(), image_uri="file:///elsewhere/é")
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

    def test_empty_batches_are_harmless(self, store: Store) -> None:
        store.catalogue.put([])
        assert store.catalogue.get([]) == {}
