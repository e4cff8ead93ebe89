"""A version is given its next policy, while others change its record too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from panopticon.errors import UsageError
from panopticon.interfaces import Archive, Registry, Store
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from workers.queues.sqlite import SqliteBroker
from workers.registry.policies import AppliedPolicy, put_policy
from workers.registry.register import ensure_registered

COLOUR = VersionName(model="colour", version=1)
ANN = Author(by="ann", at_ms=1)
BOB = Author(by="bob@desk", at_ms=1_795_262_400_000)
RED, GREEN = 'renamed = { red = "rot" }\n', 'renamed = { green = "gruen" }\n'


@dataclass(kw_only=True)
class StoreFake:
    """A store in which something happens just before a record is swapped."""

    inner: Store
    meanwhile: Callable[[], None] = lambda: None

    @property
    def registry(self) -> Registry:
        return cast(Registry, self)

    @property
    def archive(self) -> Archive:
        return self.inner.archive

    def read(self, model: str) -> ModelEntry | None:
        return self.inner.registry.read(model)

    def models(self) -> tuple[str, ...]:
        return self.inner.registry.models()

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        self.meanwhile()
        return self.inner.registry.swap(expected, new)

    def put(self, text: str, author: Author = ANN) -> AppliedPolicy:
        return put_policy(text, source="p.toml", version=COLOUR, author=author, store=cast(Store, self))

    @property
    def texts(self) -> list[str]:
        entry = self.read("colour")
        assert entry is not None
        return [policy.toml for policy in entry.versions[0].policies]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreFake]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    card = write_null_card(tmp_path / "card")
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        ensure_registered(card, store.registry, broker.topology, archive=store.archive, by="ann")
        yield StoreFake(inner=store)


def test_each_policy_has_the_next_number(store: StoreFake) -> None:
    assert store.put(RED) == AppliedPolicy(number=2, changed=True)
    assert store.put(GREEN) == AppliedPolicy(number=3, changed=True)
    assert store.put(RED) == AppliedPolicy(number=4, changed=True)
    assert store.texts == ["", RED, GREEN, RED]


def test_an_equal_policy_changes_nothing_however_it_is_written(store: StoreFake) -> None:
    store.put(RED)
    assert store.put("# The same\n[renamed]\n\"red\" = 'rot'\n") == AppliedPolicy(number=2, changed=False)
    assert store.texts == ["", RED]


def test_a_lost_race_is_reported_with_who_won_it_and_when(store: StoreFake) -> None:
    def win_the_race() -> None:
        entry = store.read("colour")
        assert entry is not None
        assert store.inner.registry.swap(entry, transitions.put_policy(entry, 1, GREEN, BOB))

    store.meanwhile = win_the_race
    with pytest.raises(UsageError) as caught:
        store.put(RED)
    assert str(caught.value) == (
        "colour was changed meanwhile: policy 2 of colour@1, by bob@desk at 2026-11-21 12:00:00 UTC; nothing "
        "was done, look at it and decide again: panopticon models history colour"
    )
    assert store.texts == ["", GREEN]


def test_an_invalid_policy_is_not_applied(store: StoreFake) -> None:
    with pytest.raises(UsageError, match="line 1: unknown tag 'rde'; near it: 'red'"):
        store.put('renamed = { rde = "rot" }\n')
    assert store.texts == [""]


def test_a_policy_that_cannot_be_read_any_more_is_replaced_by_one_that_can(store: StoreFake) -> None:
    entry = store.read("colour")
    assert entry is not None
    assert store.inner.registry.swap(entry, transitions.put_policy(entry, 1, "of = 'old'\n", BOB))
    assert store.put(RED) == AppliedPolicy(number=3, changed=True)
