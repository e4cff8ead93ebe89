"""A version is registered once, after its queue is bound."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from panopticon.cards.cards import CardError, ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.registry.records import ModelEntry, RegistryEvent, VersionState
from panopticon.results.outputs import VersionName
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from workers.queues.sqlite import SqliteBroker
from workers.registry.compare_and_set import MAX_TRIES
from workers.registry.register import ensure_registered

POLICY = "[policy.renamed]\nred = 'rot'\n"


def card_of(folder: Path, version: int = 1, more: str = "") -> ModelCard:
    card = write_null_card(folder / f"card-{version}-{len(more)}", more)
    return card.model_copy(update={"version": version})


@dataclass(kw_only=True)
class Bench:
    folder: Path
    store: SqliteStore
    broker: SqliteBroker

    def register(self, card: ModelCard) -> VersionState:
        return ensure_registered(
            card, self.store.registry, self.broker.topology, archive=self.store.archive, by="ann@host"
        ).state

    def entry(self) -> ModelEntry:
        entry = self.store.registry.read("colour")
        assert entry is not None
        return entry


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        yield Bench(folder=tmp_path, store=store, broker=broker)


def test_the_first_version_of_a_model_is_active_at_once(bench: Bench) -> None:
    assert bench.register(card_of(bench.folder)) is VersionState.ACTIVE
    assert bench.entry().active == VersionName(model="colour", version=1)


def test_a_later_version_is_a_shadow_and_changes_nothing_for_queries(bench: Bench) -> None:
    bench.register(card_of(bench.folder))
    assert bench.register(card_of(bench.folder, 2)) is VersionState.SHADOW
    assert bench.entry().active == VersionName(model="colour", version=1)


def test_registering_again_changes_nothing(bench: Bench) -> None:
    card = card_of(bench.folder)
    bench.register(card)
    before = bench.entry()
    assert bench.register(card) is VersionState.ACTIVE
    assert bench.entry() == before


def test_the_entry_has_the_digest_labels_policy_and_author_of_the_version(bench: Bench) -> None:
    card = card_of(bench.folder, more=POLICY)
    bench.register(card)
    (version,) = bench.entry().versions
    assert (version.digest, version.labels) == (card.digest, ("red", "green", "blue"))
    assert (version.policy_toml.strip(), version.policy_number) == ('[renamed]\nred = "rot"', 1)
    (event,) = bench.entry().history
    assert (event.by, event.what) == ("ann@host", "registered colour@1")


def test_a_card_with_another_digest_than_the_registered_one_is_refused_with_both(bench: Bench) -> None:
    bench.register(card_of(bench.folder))
    changed = card_of(bench.folder).model_copy(update={"architecture_revision": 2})
    (known,) = bench.entry().versions
    assert known.digest != changed.digest
    with pytest.raises(CardError, match=f"colour@1 .*{known.digest}.*{changed.digest}"):
        bench.register(changed)
    assert len(bench.entry().versions) == 1


def test_its_queue_is_bound_before_the_version_is_registered(bench: Bench) -> None:
    bound_at_swap: list[tuple[VersionName, ...]] = []
    registry = bench.store.registry

    class RegistryFake:
        def read(self, model: str) -> ModelEntry | None:
            return registry.read(model)

        def models(self) -> tuple[str, ...]:
            return registry.models()

        def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
            bound_at_swap.append(bench.broker.topology.bound())
            return registry.swap(expected, new)

    card = card_of(bench.folder)
    ensure_registered(card, RegistryFake(), bench.broker.topology, archive=bench.store.archive, by="x")
    assert bound_at_swap == [(card.version_name,)]


def test_a_refused_card_binds_no_queue(bench: Bench) -> None:
    bench.register(card_of(bench.folder))
    bench.broker.topology.unbind(VersionName(model="colour", version=1))
    with pytest.raises(CardError):
        bench.register(card_of(bench.folder).model_copy(update={"architecture_revision": 2}))
    assert bench.broker.topology.bound() == ()


def test_workers_that_start_together_agree_on_one_entry_each_and_one_active_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    cards = [card_of(tmp_path, version) for version in (1, 2, 3) for _ in range(2)]
    start = threading.Barrier(len(cards))
    states: list[tuple[int, VersionState]] = []

    def register(card: ModelCard) -> None:
        with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
            start.wait(30)
            entry = ensure_registered(card, store.registry, broker.topology, archive=store.archive, by="x")
            states.append((entry.version, entry.state))

    threads = [threading.Thread(target=register, args=(card,)) for card in cards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        entry = store.registry.read("colour")
        bound = broker.topology.bound()
    assert entry is not None
    assert [version.version for version in entry.versions] == [1, 2, 3]
    assert [v.version for v in entry.versions if v.state is VersionState.ACTIVE] == [entry.active_version]
    assert sorted(states) == sorted((v.version, v.state) for v in entry.versions for _ in range(2))
    assert len(bound) == 3


def test_an_entry_that_changes_at_every_try_is_unavailable_after_a_limited_number(bench: Bench) -> None:
    tries: list[int] = []

    class RegistryFake:
        def read(self, model: str) -> ModelEntry | None:
            return None

        def models(self) -> tuple[str, ...]:
            return ()

        def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
            tries.append(1)
            return False

    with pytest.raises(Unavailable):
        ensure_registered(
            card_of(bench.folder), RegistryFake(), bench.broker.topology, archive=bench.store.archive, by="x"
        )
    assert len(tries) == MAX_TRIES


def test_a_registered_version_is_bound_on_a_new_broker(bench: Bench) -> None:
    card = card_of(bench.folder)
    bench.register(card)
    bench.broker.topology.unbind(card.version_name)
    bench.register(card)
    assert bench.broker.topology.bound() == (card.version_name,)


def test_a_version_that_is_retired_is_refused_and_not_bound_again(bench: Bench) -> None:
    card = card_of(bench.folder)
    bench.register(card)
    entry = bench.entry()
    retired = replace(entry.versions[0], state=VersionState.RETIRED)
    event = RegistryEvent(at_ms=1, by="ann@host", what="retired")
    assert bench.store.registry.swap(entry, entry.with_version(retired, event))
    bench.broker.topology.unbind(card.version_name)
    with pytest.raises(UsageError, match="colour@1 is retired and takes no images"):
        bench.register(card)
    assert bench.broker.topology.bound() == ()


def test_a_card_that_the_store_lacks_is_archived_when_its_worker_starts(bench: Bench) -> None:
    card = card_of(bench.folder)
    bench.register(card)
    entry = bench.entry()
    older = replace(entry.versions[0], card_sha256="")
    event = RegistryEvent(at_ms=1, by="ann@host", what="an older program wrote it")
    assert bench.store.registry.swap(entry, entry.with_version(older, event))
    bench.register(card)
    (version,) = bench.entry().versions
    assert bench.store.archive.get(version.card_sha256) == card.archived_bytes


@pytest.mark.parametrize("policy", ["threshhold = 0.3", "renamed = { purple = 'violet' }"])
def test_a_version_with_an_invalid_policy_is_not_registered(bench: Bench, policy: str) -> None:
    card = card_of(bench.folder, more=f"[policy]\n{policy}\n")
    with pytest.raises(CardError, match="colour@1, policy: unknown .*; correct its card"):
        bench.register(card)
    assert (bench.store.registry.read("colour"), bench.broker.topology.bound()) == (None, ())
