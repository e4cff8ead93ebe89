"""A policy is trusted for a limited time, and results are made by the present one."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Registry
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from workers.queues.sqlite import SqliteBroker
from workers.registry.policy_cache import PolicyCache
from workers.registry.register import ensure_registered
from workers.worker.run import present_policy

COLOUR = VersionName(model="colour", version=1)
ANN = Author(by="ann", at_ms=1)


@dataclass(kw_only=True)
class RegistryFake:
    """A registry that counts reads, and can be down."""

    inner: Registry
    down: bool = False
    reads: int = 0

    def read(self, model: str) -> ModelEntry | None:
        self.reads += 1
        if self.down:
            raise Unavailable("store", "it is away")
        return self.inner.read(model)

    def models(self) -> tuple[str, ...]:
        return self.inner.models()

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        return self.inner.swap(expected, new)


@dataclass(kw_only=True)
class Bench:
    store: SqliteStore
    card: ModelCard
    now_s: float = 0.0
    registry: RegistryFake = field(init=False)
    policies: PolicyCache = field(init=False)

    def __post_init__(self) -> None:
        self.registry = RegistryFake(inner=self.store.registry)
        self.policies = PolicyCache(self.registry, self.store.archive, Settings(), clock=lambda: self.now_s)

    def put_policy(self, toml: str) -> None:
        entry = self.store.registry.read("colour")
        assert entry is not None
        assert self.store.registry.swap(entry, transitions.put_policy(entry, 1, toml, ANN))

    def number(self) -> int:
        policy = self.policies.of(COLOUR)
        assert policy is not None
        return policy.policy_number


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    card = write_null_card(tmp_path / "card")
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        ensure_registered(card, store.registry, broker.topology, archive=store.archive, by="ann")
        yield Bench(store=store, card=card)


def test_a_new_policy_is_known_after_five_seconds(bench: Bench) -> None:
    assert bench.number() == 1
    bench.put_policy('renamed = { red = "rot" }\n')
    bench.now_s = 4.9
    assert bench.number() == 1
    bench.now_s = 5.0
    assert bench.number() == 2


def test_a_former_policy_is_freed_from_memory(bench: Bench) -> None:
    policy = bench.policies.of(COLOUR)
    assert policy is not None
    former = weakref.ref(policy.evaluator)
    del policy
    bench.put_policy('renamed = { red = "rot" }\n')
    bench.now_s = 5.0
    assert (bench.number(), former()) == (2, None)


def test_a_new_policy_is_applied_to_the_labels_of_the_archived_card(bench: Bench) -> None:
    bench.put_policy('renamed = { red = "rot" }\n')
    policy = bench.policies.of(COLOUR)
    assert policy is not None
    assert dict(policy.evaluator.evaluate(np.array([0.5, 0, 0])).scores) == {
        "rot": 0.5,
        "green": 0,
        "blue": 0,
    }


@pytest.mark.parametrize("toml", ["of = 'old'\n", "top_k = \n", "[rollup]\nanimal = 'sum'\n"])
def test_an_invalid_policy_is_reported_with_its_version_and_the_way_out(bench: Bench, toml: str) -> None:
    bench.put_policy(toml)
    with pytest.raises(
        UsageError, match=r"^colour@1 has a policy 2 .*: panopticon policy apply colour@1 FILE$"
    ):
        bench.number()


def test_policies_are_trusted_for_fifteen_seconds_while_the_registry_is_down(bench: Bench) -> None:
    assert bench.number() == 1
    bench.registry.down = True
    bench.now_s = 15.0
    assert bench.number() == 1
    bench.now_s = 20.0
    with pytest.raises(Unavailable, match="it is away"):
        bench.number()


def test_a_policy_that_is_too_old_is_not_trusted_between_two_reads_either(bench: Bench) -> None:
    assert bench.number() == 1
    bench.registry.down = True
    bench.now_s = 14.0
    bench.number()
    bench.now_s = 15.5
    with pytest.raises(Unavailable, match="could not be read for too long"):
        bench.number()


def test_policies_are_trusted_again_when_the_registry_is_back(bench: Bench) -> None:
    bench.number()
    bench.registry.down, bench.now_s = True, 20.0
    with pytest.raises(Unavailable):
        bench.number()
    bench.registry.down, bench.now_s = False, 25.0
    assert bench.number() == 1


def test_the_registry_is_read_once_in_five_seconds_however_often_a_policy_is_asked_for(bench: Bench) -> None:
    for tenth in range(100):
        bench.now_s = tenth / 10
        bench.number()
    assert bench.registry.reads == 2


def test_an_unknown_version_has_no_policy(bench: Bench) -> None:
    assert bench.policies.of(VersionName(model="colour", version=9)) is None
    assert bench.policies.of(VersionName(model="nobody", version=1)) is None


def test_publishing_for_a_version_that_the_registry_does_not_know_parks(bench: Bench) -> None:
    """A version without a record has no policy to publish by, so its results wait."""
    assert present_policy(bench.policies, COLOUR).policy_number == 1
    with pytest.raises(Unavailable, match="the registry does not know nobody@1 any more"):
        present_policy(bench.policies, VersionName(model="nobody", version=1))
