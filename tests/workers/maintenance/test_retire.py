"""A version is taken out of service: no more uploads, messages worked off, retired, queues deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.interfaces import Delivery
from panopticon.messages import ImageMessage, Lane
from panopticon.registry.records import VersionState
from panopticon.results.backfills import BackfillState
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import VersionName
from tests.house import House, open_house
from tests.panopticon.null_card import write_null_card
from workers.backfill.records import BackfillRequest, all_backfills, change_state, take_up
from workers.maintenance.retire import POLL_S, Retired, Retiring
from workers.queues.sqlite import SqliteBroker, SqliteTopology
from workers.registry.change_state import Versions

COLOUR = VersionName(model="colour", version=1)


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return write_null_card(tmp_path / "card")


@pytest.fixture
def house(tmp_path: Path, card: ModelCard) -> Iterator[House]:
    """A house with the shadow `colour@1`."""
    with open_house(tmp_path, registry_every_s=5.0, grace_s=25.0) as house:
        versions(house).add(card)
        versions(house).shadow(COLOUR)
        yield house


@pytest.fixture
def worked_off(house: House) -> list[Delivery]:
    """The messages that a worker of `colour@1` took: one whenever somebody waits."""
    taken: list[Delivery] = []
    house.clock.on_sleep = lambda: taken.extend(house.take(house.broker.model_queue(COLOUR), count=1))
    return taken


def versions(house: House) -> Versions:
    return Versions(store=house.store, broker=house.broker, by="ann", clock=house.clock.time)


def retire(
    house: House, *, discard: bool = False, waiting: Callable[[int], None] = lambda _: None
) -> Retired:
    retiring = Retiring(
        versions=versions(house),
        settings=house.settings,
        backfills=house.store.backfills,
        open_broker=lambda: SqliteBroker(house.url, clock=house.clock),
        clock=house.clock,
    )
    return retiring.retire(COLOUR, discard=discard, waiting=waiting)


def submit(house: House, count: int) -> None:
    house.broker.model_queue(COLOUR).submit([b"{}"] * count, Lane.LIVE)


def test_waiting_messages_are_worked_off_before_the_version_is_retired(
    house: House, worked_off: list[Delivery]
) -> None:
    submit(house, 3)
    reported: list[int] = []
    assert retire(house, waiting=reported.append) == Retired(discarded=0, dropped=True)
    assert (len(worked_off), reported) == (3, [3, 2, 1])
    assert (house.version(COLOUR).state, house.broker.topology.bound()) == (VersionState.RETIRED, ())


def test_it_gets_no_uploads_while_its_messages_are_worked_off(
    house: House, worked_off: list[Delivery]
) -> None:
    submit(house, 1)
    seen: list[VersionState] = []
    work = house.clock.on_sleep

    def watched() -> None:
        house.submit(ImageMessage(image_id="late"))
        seen.append(house.version(COLOUR).state)
        work()

    house.clock.on_sleep = watched
    retire(house)
    assert (len(worked_off), seen) == (1, [VersionState.REGISTERED])


@pytest.mark.parametrize("messages", [1, 5], ids=["as the last message leaves", "while messages wait"])
def test_a_version_that_is_made_a_shadow_again_meanwhile_is_not_retired(
    house: House, worked_off: list[Delivery], messages: int
) -> None:
    submit(house, messages)
    work = house.clock.on_sleep

    def decide_otherwise() -> None:
        work()
        if not house.version(COLOUR).state.routed:
            Versions(store=house.store, broker=house.broker, by="bob").shadow(COLOUR)

    house.clock.on_sleep = decide_otherwise
    with pytest.raises(UsageError, match="colour@1 is not retired: .* shadow colour@1, by bob at"):
        retire(house)
    assert (house.version(COLOUR).state, house.broker.topology.bound()) == (VersionState.SHADOW, (COLOUR,))


def test_discarded_messages_count_as_skipped(house: House, worked_off: list[Delivery]) -> None:
    house.plant("0", "1", "2")
    submit(house, 3)
    assert retire(house, discard=True) == Retired(discarded=3, dropped=True)
    assert worked_off == []
    counts = house.store.counts
    assert counts is not None
    assert counts.count(COLOUR, retired=True) == Ledger(skipped=3)


def test_queues_with_a_leased_message_stay_and_are_deleted_by_the_next_call(house: House) -> None:
    queue = house.broker.model_queue(COLOUR)
    submit(house, 1)
    (held,) = queue.receive(max_live=1, max_backfill=0, wait_s=0)
    assert retire(house, discard=True) == Retired(discarded=0, dropped=False)
    assert house.version(COLOUR).state is VersionState.RETIRED
    queue.ack([held])
    assert retire(house, discard=True).dropped


@pytest.mark.parametrize(("later_s", "idle_s"), [(0.0, 0.0), (39.0, 0.0), (640.0, 600.0)])
def test_the_broker_is_given_the_time_for_which_no_worker_can_have_retried_a_message(
    house: House, monkeypatch: pytest.MonkeyPatch, later_s: float, idle_s: float
) -> None:
    reported: list[float] = []
    drop = SqliteTopology.drop_if_empty

    def listening(topology: SqliteTopology, version: VersionName, *, idle_s: float) -> bool:
        reported.append(idle_s)
        return drop(topology, version, idle_s=idle_s)

    retire(house)
    house.clock.now_s += later_s
    monkeypatch.setattr(SqliteTopology, "drop_if_empty", listening)
    assert retire(house).dropped
    assert reported == [pytest.approx(idle_s, abs=5.0)]


def test_a_retired_version_that_is_still_bound_is_unbound_by_the_next_call(house: House) -> None:
    retire(house)
    house.broker.topology.bind(COLOUR)
    submit(house, 1)
    retire(house)
    assert house.broker.topology.bound() == ()


@pytest.mark.usefixtures("worked_off")
def test_the_history_has_the_time_of_retiring_and_not_of_the_command(house: House) -> None:
    submit(house, 3)
    retire(house)
    first, *_, last = (event.at_ms for event in house.model("colour").history)
    assert last - first == pytest.approx(3 * POLL_S * 1000)


def test_its_backfills_are_cancelled_and_no_others(house: House) -> None:
    other = VersionName(model="colour", version=2)
    for version, sha256 in ((COLOUR, ""), (COLOUR, "d" * 64), (other, "")):
        wanted = BackfillRequest(version=version, source="s", ids_sha256=sha256, total=9, by="ann", owner="r")
        take_up(wanted, house.store.backfills, now_ms=1)
    change_state("colour@1-search", BackfillState.PAUSED, house.store.backfills, now_ms=2)
    retire(house)
    states = {record.name: record.state for record in all_backfills(house.store.backfills)}
    assert states == {
        "colour@1-search": BackfillState.CANCELLED,
        "colour@1-dddddddd": BackfillState.CANCELLED,
        "colour@2-search": BackfillState.RUNNING,
    }


def test_an_active_version_is_not_retired(house: House, card: ModelCard) -> None:
    versions(house).activate(card)
    with pytest.raises(UsageError, match="colour@1 is active; activate another version or deactivate it"):
        versions(house).check_retirable(COLOUR)
