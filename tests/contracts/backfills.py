"""The contract of every Backfills."""

from __future__ import annotations

from panopticon.interfaces import Store
from panopticon.results.backfills import Backfill, BackfillState
from tests.contracts.examples import NOON_MS
from tests.contracts.store import StoreAccess


def backfill(name: str = "tagger@2-1f3a", *, serial: int = 1) -> Backfill:
    return Backfill(
        name=name,
        serial=serial,
        model="tagger",
        version=2,
        source="Grüße 🦒.txt",
        ids_sha256="5" * 64,
        total=3,
        state=BackfillState.RUNNING,
        begun_at_ms=NOON_MS,
        changed_at_ms=NOON_MS,
        by="me",
    )


class BackfillsContract(StoreAccess):
    def test_an_unknown_backfill_has_no_record(self, store: Store) -> None:
        assert store.backfills.read("nobody") is None

    def test_a_record_is_read_as_it_was_swapped_in(self, store: Store) -> None:
        assert store.backfills.swap(None, backfill())
        assert store.backfills.read("tagger@2-1f3a") == backfill()

    def test_names_are_returned_in_order_and_without_models(self, store: Store) -> None:
        for name in ("b", "a"):
            store.backfills.swap(None, backfill(name))
        assert store.backfills.names() == ("a", "b")
        assert store.registry.models() == ()

    def test_of_two_changes_to_one_record_the_second_is_refused(self, store: Store) -> None:
        store.backfills.swap(None, backfill())
        paused = backfill().changed(at_ms=NOON_MS + 1, state=BackfillState.PAUSED)
        assert store.backfills.swap(backfill(), paused)
        assert not store.backfills.swap(backfill(), backfill().changed(at_ms=NOON_MS + 2, cursor=9))
        assert store.backfills.read("tagger@2-1f3a") == paused
