"""The contract of every OutputStore for outputs."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from panopticon.interfaces import Store
from tests.contracts.examples import NOON_MS, QUALITY, TAGGER, TAGGER_2, image, key, output
from tests.contracts.store import StoreAccess

LONG_AFTER_MS = 7_258_118_400_000
"""A moment in the year 2200, so that an erasure by the clock is earlier."""


class OutputStoreContract(StoreAccess):
    def test_an_output_is_read_as_it_was_put(self, store: Store) -> None:
        put = output(key("Grüße/🦒 'x'", revision=2**53 - 1))
        store.outputs.put([put])
        read = store.outputs.get([put.key.image_id], TAGGER)[put.key]
        np.testing.assert_array_equal(read.vector, put.vector, strict=True)
        names = [field.name for field in fields(put) if field.name != "vector"]
        assert [getattr(read, name) for name in names] == [getattr(put, name) for name in names]

    @pytest.mark.parametrize("dtype", ["<f2", "<f4"])
    def test_the_dtype_of_a_vector_is_kept(self, store: Store, dtype: str) -> None:
        put = output(key())
        store.outputs.put([replace(put, vector=np.array([0.1, -3], dtype))])
        assert store.outputs.get(["photo"], TAGGER)[key()].vector.dtype == np.dtype(dtype)

    def test_putting_twice_leaves_one_row(self, store: Store) -> None:
        store.outputs.put([output(key())])
        store.outputs.put([output(key())])
        assert self.count_rows("outputs") == 1

    def test_one_key_twice_in_a_batch_leaves_one_row(self, store: Store) -> None:
        store.outputs.put([output(key()), output(key())])
        assert self.count_rows("outputs") == 1

    @pytest.mark.parametrize("order", [(1, 2), (2, 1)])
    def test_of_two_outputs_the_later_produced_stays(self, store: Store, order: tuple[int, int]) -> None:
        for number in order:
            store.outputs.put([output(key(), fill=number, produced_at_ms=NOON_MS + number)])
        read = store.outputs.get(["photo"], TAGGER)[key()]
        assert (read.produced_at_ms, read.vector[0]) == (NOON_MS + 2, 2)

    def test_get_returns_every_revision_of_one_version(self, store: Store) -> None:
        keys = [key(revision=0), key(revision=7)]
        others = [key(version=TAGGER_2), key(version=QUALITY), key("another")]
        store.outputs.put([output(each) for each in keys + others])
        assert sorted(store.outputs.get(["photo"], TAGGER)) == keys

    def test_get_leaves_unknown_ids_out(self, store: Store) -> None:
        store.outputs.put([output(key("a")), output(key("b"))])
        assert sorted(store.outputs.get(["b", "nobody", "a", "a"], TAGGER)) == [key("a"), key("b")]

    def test_get_takes_thousands_of_ids(self, store: Store) -> None:
        store.outputs.put([output(key(f"{number}")) for number in range(50)])
        assert len(store.outputs.get([f"{number}" for number in range(5_000)], TAGGER)) == 50

    def test_versions_of_returns_the_newest_version_and_revision_first(self, store: Store) -> None:
        keys = [key(version=TAGGER_2, revision=1), key(version=TAGGER_2), key(version=TAGGER, revision=9)]
        store.outputs.put([output(each) for each in [*reversed(keys), key("another")]])
        assert [each.key for each in store.outputs.versions_of("photo")] == keys

    def test_versions_of_an_unknown_image_are_none(self, store: Store) -> None:
        assert store.outputs.versions_of("nobody") == []

    def test_erasing_an_image_removes_every_output_of_it(self, store: Store) -> None:
        keys = [key(), key(revision=4), key(version=TAGGER_2), key(version=QUALITY)]
        store.outputs.put([output(each) for each in keys])
        store.outputs.erase(["photo", "nobody"])
        assert store.outputs.versions_of("photo") == []
        assert self.count_rows("outputs") == 0

    def test_erasing_an_image_leaves_the_others_and_the_catalogue(self, store: Store) -> None:
        store.catalogue.put([image("photo")])
        store.outputs.put([output(key("photo")), output(key("another"))])
        store.outputs.erase(["photo"])
        assert list(store.outputs.get(["photo", "another"], TAGGER)) == [key("another")]
        assert store.catalogue.get(["photo"]) == {"photo": image("photo")}

    def test_an_output_produced_after_an_erasure_can_be_put(self, store: Store) -> None:
        store.outputs.put([output(key())])
        store.outputs.erase(["photo"])
        store.outputs.put([output(key(), produced_at_ms=LONG_AFTER_MS)])
        assert list(store.outputs.get(["photo"], TAGGER)) == [key()]

    def test_empty_batches_are_harmless(self, store: Store) -> None:
        store.outputs.put([])
        store.outputs.erase([])
        assert store.outputs.get([], TAGGER) == {}
        assert self.count_rows("outputs") == 0

    def test_outputs_outlive_the_client_that_put_them(self, store: Store) -> None:
        store.outputs.put([output(key())])
        store.close()
        reopened = self.open_store()
        assert list(reopened.outputs.get(["photo"], TAGGER)) == [key()]
        reopened.close()
