"""Versions are switched by one compare-and-set, announced, and never against somebody else's change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from panopticon.cards.cards import CardError, ModelCard, read_card
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Broker, Topology
from panopticon.messages import ModelActivated, decode_result_message
from panopticon.registry.records import ModelEntry, VersionState
from panopticon.results.outputs import VersionName
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import NULL_CARD
from workers.queues.sqlite import SqliteBroker
from workers.registry.change_state import Versions

ONE, TWO = (VersionName(model="colour", version=number) for number in (1, 2))


@dataclass(kw_only=True)
class Bench:
    folder: Path
    store: SqliteStore
    broker: SqliteBroker

    def versions(self, by: str = "ann@host", reason: str = "") -> Versions:
        return Versions(store=self.store, broker=self.broker, by=by, reason=reason)

    def card(self, number: int, more: str = "") -> ModelCard:
        folder = self.folder / f"{number}{len(more)}"
        folder.mkdir(exist_ok=True)
        text = NULL_CARD.replace("version = 1", f"version = {number}") + more
        (folder / "card.toml").write_text(text)
        return read_card(folder / "card.toml")

    def side_by_side(self) -> None:
        """Register two versions: version 1 is active, version 2 a shadow."""
        for number in (1, 2):
            self.versions().add(self.card(number))
            self.versions().shadow(VersionName(model="colour", version=number))
        self.versions().activate(self.card(1))
        self.announced()

    def announced(self) -> list[ModelActivated]:
        deliveries = self.broker.results().receive(max_live=99, max_backfill=99, wait_s=0)
        self.broker.results().ack(deliveries)
        messages = [decode_result_message(delivery.body) for delivery in deliveries]
        return [message for message in messages if isinstance(message, ModelActivated)]

    def states(self) -> dict[int, VersionState]:
        return {version.version: version.state for version in self.versions().read("colour").versions}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url)) as broker:
        yield Bench(folder=tmp_path, store=store, broker=broker)


def test_a_version_that_is_added_gets_no_uploads_until_it_is_a_shadow(bench: Bench) -> None:
    bench.versions().add(bench.card(1))
    assert bench.broker.topology.bound() == ()
    bench.versions().shadow(ONE)
    assert bench.broker.topology.bound() == (ONE,)


def test_adding_keeps_the_card_under_its_digests(bench: Bench) -> None:
    card = bench.card(1)
    (version,) = bench.versions().add(card).versions
    assert bench.store.archive.get(version.digest) == card.digest_input
    assert bench.store.archive.get(version.card_sha256) == card.archived_bytes


def test_uploads_still_reach_the_former_version_after_a_switch(bench: Bench) -> None:
    bench.side_by_side()
    bench.versions().activate(bench.card(2))
    assert bench.states() == {1: VersionState.SHADOW, 2: VersionState.ACTIVE}
    assert bench.broker.topology.bound() == (ONE, TWO)


def test_a_switch_and_a_rollback_are_announced_on_the_results_queue(bench: Bench) -> None:
    bench.side_by_side()
    bench.versions(reason="finer labels").activate(bench.card(2))
    bench.versions("bob@host").roll_back("colour")
    there, back = bench.announced()
    assert (there.version, there.former_version, there.activated_by) == (2, 1, "ann@host")
    assert there.reason == "finer labels"
    assert (back.version, back.former_version, back.activated_by) == (1, 2, "bob@host")


@dataclass(kw_only=True)
class RacingBroker:
    """A broker, and its topology, at which something happens just before queues are bound."""

    inner: SqliteBroker
    meanwhile: Callable[[], object]

    @property
    def topology(self) -> Topology:
        return cast(Topology, self)

    def bind(self, version: VersionName) -> None:
        self.meanwhile()
        self.inner.topology.bind(version)

    def unbind(self, version: VersionName) -> None:
        self.inner.topology.unbind(version)


def test_a_shadow_that_loses_a_race_unbinds_its_queues(bench: Bench) -> None:
    bench.versions().add(bench.card(1))
    broker = RacingBroker(inner=bench.broker, meanwhile=lambda: bench.versions("bob").add(bench.card(2)))
    versions = Versions(store=bench.store, broker=cast(Broker, broker), by="ann")
    with pytest.raises(UsageError, match="registered colour@2, by bob"):
        versions.shadow(ONE)
    assert bench.broker.topology.bound() == ()


def test_a_shadow_that_loses_a_race_to_the_same_change_leaves_its_queues_bound(bench: Bench) -> None:
    bench.versions().add(bench.card(1))
    broker = RacingBroker(inner=bench.broker, meanwhile=lambda: bench.versions("bob").shadow(ONE))
    versions = Versions(store=bench.store, broker=cast(Broker, broker), by="ann")
    with pytest.raises(UsageError, match="shadow colour@1, by bob"):
        versions.shadow(ONE)
    assert bench.broker.topology.bound() == (ONE,)


class SilentBroker:
    """A broker that is down when a switch is to be announced."""

    def announce(self, body: bytes) -> None:
        raise Unavailable("queue", "it is away")


def test_a_switch_that_could_not_be_announced_is_made_and_warned_about(bench: Bench) -> None:
    bench.side_by_side()
    warnings: list[str] = []
    versions = Versions(
        store=bench.store, broker=cast(Broker, SilentBroker()), by="ann@host", warn=warnings.append
    )
    versions.activate(bench.card(2))
    assert bench.states()[2] is VersionState.ACTIVE
    assert warnings == ["the switch is made, but could not be announced: queue unavailable: it is away"]


def unfit(_: ModelEntry) -> None:
    raise UsageError("coverage is 0.5")


def test_a_version_that_exceeds_a_limit_is_reported_and_not_activated(bench: Bench) -> None:
    bench.side_by_side()
    with pytest.raises(UsageError, match="coverage is 0.5"):
        bench.versions().activate(bench.card(2), refuse_unfit=unfit)
    assert bench.states()[2] is VersionState.SHADOW


def test_a_lost_race_is_reported_with_who_won_it_when_and_with_which_change(bench: Bench) -> None:
    bench.side_by_side()

    def lose_the_race(_: ModelEntry) -> None:
        bench.versions("bob@host").activate(bench.card(2))

    with pytest.raises(
        UsageError,
        match=r"changed meanwhile: activated colour@2 \(was colour@1\), by bob@host at \d{4}-.* UTC; nothing",
    ):
        bench.versions().activate(bench.card(2), refuse_unfit=lose_the_race)
    assert [event.by for event in bench.versions().read("colour").history][-1] == "bob@host"


def test_activating_an_active_version_reports_who_activated_it(bench: Bench) -> None:
    bench.side_by_side()
    bench.versions("bob@host").activate(bench.card(2))
    with pytest.raises(
        UsageError, match=r"colour@2 is active; it answers already: activated .*, by bob@host"
    ):
        bench.versions().activate(bench.card(2))


def test_another_card_under_a_registered_number_is_not_activated(bench: Bench) -> None:
    bench.side_by_side()
    with pytest.raises(CardError, match="colour@2 is registered with digest"):
        bench.versions().activate(bench.card(2, "architecture_revision = 2\n"))
    with pytest.raises(CardError, match="colour@2 is registered with digest"):
        bench.versions().add(bench.card(2, "architecture_revision = 2\n"))


def test_weights_that_were_changed_by_one_byte_are_not_activated(bench: Bench) -> None:
    weights = bench.folder / "w.bin"
    weights.write_bytes(b"0123")
    sha256 = "1be2e452b46d7a0d9656bbb1f768e8248eba1b75baed65f5d99eafa948899a6a"
    bench.side_by_side()
    more = f'weights = {{ file = "{weights}", sha256 = "{sha256}" }}\n'
    card = bench.card(3, more)
    bench.versions().add(card)
    bench.versions().shadow(card.version_name)
    weights.write_bytes(b"0124")
    with pytest.raises(CardError, match="w.bin has sha256"):
        bench.versions().activate(card)


def test_a_model_keeps_its_task(bench: Bench) -> None:
    bench.side_by_side()
    other = bench.card(3).model_copy(update={"task": "tagging"})
    with pytest.raises(UsageError, match="colour@3 is for tagging, and colour is registered for scoring"):
        bench.versions().add(other)


def test_an_unknown_model_is_reported_with_the_registered_ones(bench: Bench) -> None:
    bench.side_by_side()
    with pytest.raises(UsageError, match="tagger is not registered; registered: colour"):
        bench.versions().roll_back("tagger")


def test_routing_of_a_version_may_be_stopped_twice(bench: Bench) -> None:
    bench.side_by_side()
    for _ in range(2):
        bench.versions().stop_routing(TWO)
    assert (bench.states()[2], bench.broker.topology.bound()) == (VersionState.REGISTERED, (ONE,))


def test_queues_that_a_late_worker_bound_are_unbound_when_the_version_is_retired(
    bench: Bench,
) -> None:
    bench.side_by_side()
    bench.versions().stop_routing(TWO)
    bench.broker.topology.bind(TWO)
    bench.versions().retire(TWO)
    assert bench.broker.topology.bound() == (ONE,)
