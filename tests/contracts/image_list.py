"""The contract of every ImageList."""

from __future__ import annotations

from panopticon.interfaces import Store
from tests.contracts.examples import image
from tests.contracts.store import StoreAccess

NAMES = [f"Grüße/{number}" for number in range(25)]


class ImageListContract(StoreAccess):
    def test_an_image_is_listed_as_soon_as_it_is_in_the_catalogue(self, store: Store) -> None:
        store.catalogue.put([image("a")])
        assert store.images.image_ids(limit=9) == ["a"]

    def test_a_deleted_image_stays_listed(self, store: Store) -> None:
        store.catalogue.put([image("a")])
        store.catalogue.put([image("a", revision=1, event="deleted")])
        assert (store.images.image_ids(limit=9), store.images.count()) == (["a"], 1)

    def test_pages_have_every_image_once(self, store: Store) -> None:
        store.catalogue.put([image(name) for name in NAMES])
        listed: list[str] = []
        while page := store.images.image_ids(after=listed[-1] if listed else "", limit=4):
            assert len(page) == min(4, len(NAMES) - len(listed))
            listed += page
        assert sorted(listed) == sorted(NAMES)

    def test_the_order_is_the_same_at_each_reading_and_in_each_page_size(self, store: Store) -> None:
        store.catalogue.put([image(name) for name in NAMES])
        whole = store.images.image_ids(limit=100)
        assert store.images.image_ids(after=whole[9], limit=100) == whole[10:]
        store.catalogue.put([image(name, revision=1) for name in reversed(NAMES)])
        assert store.images.image_ids(limit=100) == whole

    def test_a_page_may_begin_after_an_id_that_is_not_listed(self, store: Store) -> None:
        store.catalogue.put([image(name) for name in NAMES])
        whole = store.images.image_ids(limit=100)
        # Added meanwhile, it is at its own place in the order.
        rest = store.images.image_ids(after="nobody", limit=100)
        assert rest == whole[len(whole) - len(rest) :]

    def test_images_are_counted_once(self, store: Store) -> None:
        assert store.images.count() == 0
        store.catalogue.put([image(name) for name in (*NAMES, *NAMES)])
        store.images.add(NAMES)
        assert store.images.count() == len(NAMES)

    def test_empty_batches_are_harmless(self, store: Store) -> None:
        store.images.add([])
        assert store.images.image_ids(limit=9) == []
