"""The contract of every Registry."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from panopticon.interfaces import Store
from panopticon.registry.records import ModelEntry, RegistryEvent, VersionEntry, VersionState
from tests.contracts.store import StoreAccess

VERSION = VersionEntry(
    version=1,
    digest="d1",
    state=VersionState.ACTIVE,
    labels=("cat", "Grüße 🦒"),
    policy_toml="threshold = 0.1\n",
    policy_number=1,
)
EVENT = RegistryEvent(at_ms=5, by="me", what="registered", reason="'quoted'")


def entry(model: str = "tagger", *, serial: int = 1) -> ModelEntry:
    return ModelEntry(
        model=model, serial=serial, task="tagging", active_version=1, versions=(VERSION,), history=(EVENT,)
    )


class RegistryContract(StoreAccess):
    def test_an_unknown_model_has_no_entry(self, store: Store) -> None:
        assert store.registry.read("nobody") is None

    def test_an_entry_is_read_as_it_was_swapped_in(self, store: Store) -> None:
        assert store.registry.swap(None, entry())
        assert store.registry.read("tagger") == entry()

    def test_models_are_returned_in_order(self, store: Store) -> None:
        for model in ("tagger", "aesthetic", "quality"):
            store.registry.swap(None, entry(model))
        assert store.registry.models() == ("aesthetic", "quality", "tagger")

    def test_the_expected_entry_is_replaced(self, store: Store) -> None:
        store.registry.swap(None, entry())
        changed = replace(entry(serial=2), active_version=None)
        assert store.registry.swap(entry(), changed)
        assert store.registry.read("tagger") == changed

    def test_an_existing_entry_is_not_added_again(self, store: Store) -> None:
        store.registry.swap(None, entry())
        assert not store.registry.swap(None, replace(entry(), task="scoring"))
        assert store.registry.read("tagger") == entry()

    def test_an_entry_that_was_changed_in_the_meantime_is_not_replaced(self, store: Store) -> None:
        store.registry.swap(None, entry())
        store.registry.swap(entry(), entry(serial=2))
        assert not store.registry.swap(entry(), replace(entry(serial=2), task="scoring"))
        assert store.registry.read("tagger") == entry(serial=2)

    def test_an_entry_that_is_absent_is_not_replaced(self, store: Store) -> None:
        assert not store.registry.swap(entry(), entry(serial=2))
        assert store.registry.models() == ()

    def test_swapping_one_model_leaves_the_others(self, store: Store) -> None:
        store.registry.swap(None, entry("quality"))
        store.registry.swap(None, entry("tagger"))
        store.registry.swap(entry("tagger"), entry("tagger", serial=2))
        assert store.registry.read("quality") == entry("quality")

    def test_of_many_that_race_exactly_one_wins(self, store: Store) -> None:
        store.registry.swap(None, entry())
        racers = 4
        start = threading.Barrier(racers)

        def race(number: int) -> bool:
            with closing(self.open_store()) as own:
                own.registry.models()
                start.wait(timeout=30)
                return own.registry.swap(entry(), replace(entry(serial=2), task=f"task {number}"))

        with ThreadPoolExecutor(racers) as pool:
            won = list(pool.map(race, range(racers)))
        assert sorted(won) == [False, False, False, True]
        held = store.registry.read("tagger")
        assert held is not None
        assert held.task == f"task {won.index(True)}"
