"""A version is registered once, after its queue is bound."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from panopticon.cards.cards import CardError, ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.registry.records import VersionEntry, VersionState
from panopticon.results.outputs import VersionName
from tests.house import AUTHOR, House, house_of
from tests.workers.registry.conftest import CardOf
from workers.registry.compare_and_set import MAX_TRIES
from workers.registry.register import ensure_registered

COLOUR = VersionName(model="colour", version=1)
POLICY = "[policy.renamed]\nred = 'rot'\n"


def register(house: House, card: ModelCard) -> VersionEntry:
    store, topology = house.store, house.broker.topology
    return ensure_registered(card, store.registry, topology, archive=store.archive, by="ann@host")


def test_the_first_version_of_a_model_is_active_at_once(house: House, card_of: CardOf) -> None:
    assert register(house, card_of()).state is VersionState.ACTIVE
    assert house.model("colour").active == COLOUR


def test_a_later_version_is_a_shadow_and_changes_nothing_for_queries(house: House, card_of: CardOf) -> None:
    register(house, card_of())
    assert register(house, card_of(2)).state is VersionState.SHADOW
    assert house.model("colour").active == COLOUR


def test_registering_again_changes_nothing(house: House, card_of: CardOf) -> None:
    card = card_of()
    register(house, card)
    before = house.model("colour")
    assert register(house, card).state is VersionState.ACTIVE
    assert house.model("colour") == before


def test_the_entry_has_the_digest_labels_policy_and_author_of_the_version(
    house: House, card_of: CardOf
) -> None:
    card = card_of(more=POLICY)
    register(house, card)
    (version,) = house.model("colour").versions
    assert (version.digest, version.labels) == (card.digest, ("red", "green", "blue"))
    assert (version.policy_toml.strip(), version.policy_number) == ('[renamed]\nred = "rot"', 1)
    (event,) = house.model("colour").history
    assert (event.by, event.what) == ("ann@host", "registered colour@1")


def test_a_card_with_another_digest_than_the_registered_one_is_refused_with_both(
    house: House, card_of: CardOf
) -> None:
    register(house, card_of())
    changed = card_of().model_copy(update={"architecture_revision": 2})
    (known,) = house.model("colour").versions
    assert known.digest != changed.digest
    with pytest.raises(CardError, match=f"colour@1 .*{known.digest}.*{changed.digest}"):
        register(house, changed)
    assert len(house.model("colour").versions) == 1


def test_its_queue_is_bound_before_the_version_is_registered(house: House, card_of: CardOf) -> None:
    bound_at_swap: list[tuple[VersionName, ...]] = []
    topology = house.broker.topology
    house.journal.before["registry.swap"] = lambda: bound_at_swap.append(topology.bound())
    card = card_of()
    register(house, card)
    assert bound_at_swap == [(card.version_name,)]


def test_a_refused_card_binds_no_queue(house: House, card_of: CardOf) -> None:
    register(house, card_of())
    house.broker.topology.unbind(COLOUR)
    with pytest.raises(CardError):
        register(house, card_of().model_copy(update={"architecture_revision": 2}))
    assert house.broker.topology.bound() == ()


def test_workers_that_start_together_agree_on_one_entry_each_and_one_active_version(
    house: House, card_of: CardOf
) -> None:
    cards = [card_of(version) for version in (1, 2, 3) for _ in range(2)]
    start = threading.Barrier(len(cards))
    states: list[tuple[int, VersionState]] = []

    def register_together(card: ModelCard) -> None:
        with house_of(house.settings) as own:
            start.wait(30)
            entry = register(own, card)
            states.append((entry.version, entry.state))

    threads = [threading.Thread(target=register_together, args=(card,)) for card in cards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    entry = house.model("colour")
    assert [version.version for version in entry.versions] == [1, 2, 3]
    assert [v.version for v in entry.versions if v.state is VersionState.ACTIVE] == [entry.active_version]
    assert sorted(states) == sorted((v.version, v.state) for v in entry.versions for _ in range(2))
    assert len(house.broker.topology.bound()) == 3


def test_an_entry_that_changes_at_every_try_is_unavailable_after_a_limited_number(
    house: House, card_of: CardOf
) -> None:
    def change() -> None:
        house.journal.before["registry.swap"] = change
        house.change(COLOUR, lambda entry: entry.with_version(entry.versions[0], AUTHOR.did("looked")))

    house.register(card_of(1))
    change()
    with pytest.raises(Unavailable):
        register(house, card_of(2))
    assert house.journal.steps.count("registry.swap") == MAX_TRIES


def test_a_registered_version_is_bound_on_a_new_broker(house: House, card_of: CardOf) -> None:
    card = card_of()
    register(house, card)
    house.broker.topology.unbind(card.version_name)
    register(house, card)
    assert house.broker.topology.bound() == (card.version_name,)


def test_a_version_that_is_retired_is_refused_and_not_bound_again(house: House, card_of: CardOf) -> None:
    card = card_of()
    register(house, card)
    house.retire(COLOUR)
    house.broker.topology.unbind(card.version_name)
    with pytest.raises(UsageError, match="colour@1 is retired and takes no images"):
        register(house, card)
    assert house.broker.topology.bound() == ()


def test_a_card_that_the_store_lacks_is_archived_when_its_worker_starts(
    house: House, card_of: CardOf
) -> None:
    card = card_of()
    register(house, card)
    older = replace(house.version(COLOUR), card_sha256="")
    house.change(COLOUR, lambda entry: entry.with_version(older, AUTHOR.did("an older program wrote it")))
    register(house, card)
    (version,) = house.model("colour").versions
    assert house.store.archive.get(version.card_sha256) == card.archived_bytes


@pytest.mark.parametrize("policy", ["threshhold = 0.3", "renamed = { purple = 'violet' }"])
def test_a_version_with_an_invalid_policy_is_not_registered(
    house: House, card_of: CardOf, policy: str
) -> None:
    card = card_of(more=f"[policy]\n{policy}\n")
    with pytest.raises(CardError, match="colour@1, policy: unknown .*; correct its card"):
        register(house, card)
    assert (house.store.registry.read("colour"), house.broker.topology.bound()) == (None, ())
