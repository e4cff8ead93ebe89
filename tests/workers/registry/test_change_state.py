"""Versions are switched by one compare-and-set, announced, and never against somebody else's change."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.cards.cards import CardError
from panopticon.errors import UsageError
from panopticon.messages import ModelActivated, ModelDeactivated, decode_result_message
from panopticon.registry.records import ModelEntry, VersionState
from panopticon.results.outputs import VersionName
from tests.house import House
from tests.workers.registry.conftest import CardOf
from workers.registry.change_state import Versions

ONE, TWO = (VersionName(model="colour", version=number) for number in (1, 2))


def versions(house: House, by: str = "ann@host", *, reason: str = "") -> Versions:
    return Versions(store=house.store, broker=house.broker, by=by, reason=reason)


def announced(house: House) -> list[ModelActivated]:
    return [notice for notice in notices(house) if isinstance(notice, ModelActivated)]


def notices(house: House) -> list[ModelActivated | ModelDeactivated]:
    messages = [decode_result_message(delivery.body) for delivery in house.take(house.broker.results())]
    return [message for message in messages if isinstance(message, ModelActivated | ModelDeactivated)]


def states(house: House) -> dict[int, VersionState]:
    return {version.version: version.state for version in house.model("colour").versions}


def test_a_version_that_is_added_gets_no_uploads_until_it_is_a_shadow(house: House, card_of: CardOf) -> None:
    versions(house).add(card_of(1))
    assert house.broker.topology.bound() == ()
    versions(house).shadow(ONE)
    assert house.broker.topology.bound() == (ONE,)


def test_adding_keeps_the_card_under_its_digests(house: House, card_of: CardOf) -> None:
    card = card_of(1)
    (version,) = versions(house).add(card).versions
    assert house.store.archive.get(version.digest) == card.digest_input
    assert house.store.archive.get(version.card_sha256) == card.archived_bytes


def test_uploads_still_reach_the_former_version_after_a_switch(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    versions(house).activate(card_of(2))
    assert states(house) == {1: VersionState.SHADOW, 2: VersionState.ACTIVE}
    assert house.broker.topology.bound() == (ONE, TWO)


def test_a_switch_and_a_rollback_are_announced_on_the_results_queue(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    versions(house, reason="finer labels").activate(card_of(2))
    versions(house, "bob@host").roll_back("colour")
    there, back = announced(house)
    assert (there.version, there.former_version, there.activated_by) == (2, 1, "ann@host")
    assert there.reason == "finer labels"
    assert (back.version, back.former_version, back.activated_by) == (1, 2, "bob@host")


def test_a_deactivation_is_announced_with_who_when_and_why(house: House, card_of: CardOf) -> None:
    house.register(card_of(1))
    versions(house, reason="it sees cats everywhere").deactivate("colour")
    (notice,) = notices(house)
    assert isinstance(notice, ModelDeactivated)
    assert (notice.model, notice.former_version, notice.deactivated_by) == ("colour", 1, "ann@host")
    assert notice.reason == "it sees cats everywhere"


def test_of_two_announcements_the_later_switch_has_the_higher_serial(house: House, card_of: CardOf) -> None:
    """Both may have happened in one millisecond, and may arrive in any order."""
    house.register(card_of(1), card_of(2))
    versions(house).activate(card_of(2))
    versions(house).deactivate("colour")
    versions(house).roll_back("colour")
    serials = [notice.serial or 0 for notice in notices(house)]
    assert serials == sorted(set(serials))
    assert len(serials) == 3
    assert serials[-1] == house.model("colour").serial


def test_a_shadow_that_loses_a_race_unbinds_its_queues(house: House, card_of: CardOf) -> None:
    versions(house).add(card_of(1))
    house.journal.before["topology.bind"] = lambda: versions(house, "bob").add(card_of(2))
    with pytest.raises(UsageError, match="registered colour@2, by bob"):
        versions(house).shadow(ONE)
    assert house.broker.topology.bound() == ()


def test_a_shadow_that_loses_a_race_to_the_same_change_leaves_its_queues_bound(
    house: House, card_of: CardOf
) -> None:
    versions(house).add(card_of(1))
    house.journal.before["topology.bind"] = lambda: versions(house, "bob").shadow(ONE)
    with pytest.raises(UsageError, match="shadow colour@1, by bob"):
        versions(house).shadow(ONE)
    assert house.broker.topology.bound() == (ONE,)


def test_a_switch_that_could_not_be_announced_is_made_and_warned_about(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    warnings: list[str] = []
    house.journal.down = {"broker.announce"}
    versions = Versions(store=house.store, broker=house.broker, by="ann@host", warn=warnings.append)
    versions.activate(card_of(2))
    assert states(house)[2] is VersionState.ACTIVE
    assert warnings == [
        "the switch is made, but could not be announced: broker unavailable: as the test demands; the "
        "indexer announces it"
    ]


def unfit(_: ModelEntry) -> None:
    raise UsageError("coverage is 0.5")


def test_a_version_that_exceeds_a_limit_is_reported_and_not_activated(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    with pytest.raises(UsageError, match="coverage is 0.5"):
        versions(house).activate(card_of(2), refuse_unfit=unfit)
    assert states(house)[2] is VersionState.SHADOW


def test_a_lost_race_is_reported_with_who_won_it_when_and_with_which_change(
    house: House, card_of: CardOf
) -> None:
    house.register(card_of(1), card_of(2))

    def lose_the_race(_: ModelEntry) -> None:
        versions(house, "bob@host").activate(card_of(2))

    with pytest.raises(
        UsageError,
        match=r"changed meanwhile: activated colour@2 \(was colour@1\), by bob@host at \d{4}-.* UTC; nothing",
    ):
        versions(house).activate(card_of(2), refuse_unfit=lose_the_race)
    assert [event.by for event in house.model("colour").history][-1] == "bob@host"


def test_activating_an_active_version_reports_who_activated_it(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    versions(house, "bob@host").activate(card_of(2))
    with pytest.raises(
        UsageError, match=r"colour@2 is active; it answers already: activated .*, by bob@host"
    ):
        versions(house).activate(card_of(2))


def test_another_card_under_a_registered_number_is_not_activated(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    with pytest.raises(CardError, match="colour@2 is registered with digest"):
        versions(house).activate(card_of(2, "architecture_revision = 2\n"))
    with pytest.raises(CardError, match="colour@2 is registered with digest"):
        versions(house).add(card_of(2, "architecture_revision = 2\n"))


def test_weights_that_were_changed_by_one_byte_are_not_activated(
    house: House, card_of: CardOf, tmp_path: Path
) -> None:
    weights = tmp_path / "w.bin"
    weights.write_bytes(b"0123")
    sha256 = "1be2e452b46d7a0d9656bbb1f768e8248eba1b75baed65f5d99eafa948899a6a"
    house.register(card_of(1), card_of(2))
    more = f'weights = {{ file = "{weights}", sha256 = "{sha256}" }}\n'
    card = card_of(3, more)
    versions(house).add(card)
    versions(house).shadow(card.version_name)
    weights.write_bytes(b"0124")
    with pytest.raises(CardError, match="w.bin has sha256"):
        versions(house).activate(card)


def test_a_model_keeps_its_task(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    other = card_of(3).model_copy(update={"task": "tagging"})
    with pytest.raises(UsageError, match="colour@3 is for tagging, and colour is registered for scoring"):
        versions(house).add(other)


def test_an_unknown_model_is_reported_with_the_registered_ones(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    with pytest.raises(UsageError, match="tagger is not registered; registered: colour"):
        versions(house).roll_back("tagger")


def test_routing_of_a_version_may_be_stopped_twice(house: House, card_of: CardOf) -> None:
    house.register(card_of(1), card_of(2))
    for _ in range(2):
        versions(house).stop_routing(TWO)
    assert (states(house)[2], house.broker.topology.bound()) == (VersionState.REGISTERED, (ONE,))


def test_queues_that_a_late_worker_bound_are_unbound_when_the_version_is_retired(
    house: House, card_of: CardOf
) -> None:
    house.register(card_of(1), card_of(2))
    versions(house).stop_routing(TWO)
    house.broker.topology.bind(TWO)
    versions(house).retire(TWO)
    assert house.broker.topology.bound() == (ONE,)
