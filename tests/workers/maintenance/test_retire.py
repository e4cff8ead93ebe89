"""A version is taken out of service: no more uploads, messages worked off, retired, queues deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError
from panopticon.messages import ImageMessage, Lane
from panopticon.registry.records import VersionState
from panopticon.results.backfills import BackfillState
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import CatalogueImage, VersionName
from panopticon.settings import Settings
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from tests.workers.queues.fake_clock import FakeClock
from workers.backfill.records import BackfillRequest, all_backfills, change_state, take_up
from workers.maintenance.retire import POLL_S, Retired, Retiring
from workers.queues.sqlite import SqliteBroker, SqliteTopology
from workers.registry.change_state import Versions

COLOUR = VersionName(model="colour", version=1)
SETTINGS = Settings(registry_every_s=5.0, grace_s=25.0)


@dataclass(kw_only=True)
class Bench:
    url: str
    card: ModelCard
    store: SqliteStore
    broker: SqliteBroker
    clock: FakeClock
    later_s: float = 0.0
    """Added to the time of day that `Retiring` sees."""
    worked_off: int = 0
    reported: list[int] = field(default_factory=list)

    @property
    def versions(self) -> Versions:
        return Versions(store=self.store, broker=self.broker, by="ann", clock=self.clock.time)

    def retire(self, *, discard: bool = False) -> Retired:
        retiring = Retiring(
            versions=self.versions,
            settings=SETTINGS,
            backfills=self.store.backfills,
            open_broker=lambda: SqliteBroker(self.url, clock=self.clock),
            clock=self,
        )
        return retiring.retire(COLOUR, discard=discard, waiting=self.reported.append)

    def time(self) -> float:
        return self.clock.time() + self.later_s

    def monotonic(self) -> float:
        return self.clock.monotonic()

    def sleep(self, seconds: float, /) -> None:
        self.work(seconds)

    def work(self, seconds: float) -> None:
        """Let a worker take one message while somebody waits."""
        self.clock.now_s += seconds
        queue = self.broker.model_queue(COLOUR)
        deliveries = queue.receive(max_live=1, max_backfill=0, wait_s=0)
        queue.ack(deliveries)
        self.worked_off += len(deliveries)

    def submit(self, count: int) -> None:
        self.broker.model_queue(COLOUR).submit([b"{}"] * count, Lane.LIVE)

    @property
    def state(self) -> VersionState:
        return self.versions.read("colour").versions[0].state


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url, clock = f"sqlite:///{tmp_path}/panopticon.db", FakeClock()
    with closing(SqliteStore(url)) as store, closing(SqliteBroker(url, clock=clock)) as broker:
        card = write_null_card(tmp_path / "card")
        bench = Bench(url=url, card=card, store=store, broker=broker, clock=clock)
        bench.versions.add(card)
        bench.versions.shadow(COLOUR)
        yield bench


def test_waiting_messages_are_worked_off_before_the_version_is_retired(bench: Bench) -> None:
    bench.submit(3)
    assert bench.retire() == Retired(discarded=0, dropped=True)
    assert (bench.worked_off, bench.reported) == (3, [3, 2, 1])
    assert (bench.state, bench.broker.topology.bound()) == (VersionState.RETIRED, ())


def test_it_gets_no_uploads_while_its_messages_are_worked_off(bench: Bench) -> None:
    bench.submit(1)
    seen: list[VersionState] = []
    work = bench.work

    def watched(seconds: float) -> None:
        bench.broker.uploads.publish([ImageMessage(image_id="late")], Lane.LIVE)
        seen.append(bench.state)
        work(seconds)

    bench.work = watched  # type: ignore[method-assign]
    bench.retire()
    assert (bench.worked_off, seen) == (1, [VersionState.REGISTERED])


def test_discarded_messages_count_as_skipped(bench: Bench) -> None:
    rows = [
        CatalogueImage(image_id=str(number), revision=0, image_uri="", event="uploaded", occurred_at_ms=0)
        for number in range(3)
    ]
    bench.store.catalogue.put(rows)
    bench.submit(3)
    assert bench.retire(discard=True) == Retired(discarded=3, dropped=True)
    assert bench.worked_off == 0
    assert bench.store.counts.count(COLOUR, retired=True) == Ledger(skipped=3)


def test_queues_with_a_leased_message_stay_and_are_deleted_by_the_next_call(bench: Bench) -> None:
    queue = bench.broker.model_queue(COLOUR)
    bench.submit(1)
    (held,) = queue.receive(max_live=1, max_backfill=0, wait_s=0)
    assert bench.retire(discard=True) == Retired(discarded=0, dropped=False)
    assert bench.state is VersionState.RETIRED
    queue.ack([held])
    assert bench.retire(discard=True).dropped


@pytest.mark.parametrize(("later_s", "idle_s"), [(0.0, 0.0), (39.0, 0.0), (640.0, 600.0)])
def test_the_broker_is_given_the_time_for_which_no_worker_can_have_retried_a_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, later_s: float, idle_s: float
) -> None:
    reported: list[float] = []
    drop = SqliteTopology.drop_if_empty

    def listening(topology: SqliteTopology, version: VersionName, *, idle_s: float) -> bool:
        reported.append(idle_s)
        return drop(topology, version, idle_s=idle_s)

    bench.retire()
    bench.later_s = later_s
    monkeypatch.setattr(SqliteTopology, "drop_if_empty", listening)
    assert bench.retire().dropped
    assert reported == [pytest.approx(idle_s, abs=5.0)]


def test_a_retired_version_that_is_still_bound_is_unbound_by_the_next_call(bench: Bench) -> None:
    bench.retire()
    bench.broker.topology.bind(COLOUR)
    bench.submit(1)
    bench.work = bench.clock.sleep  # type: ignore[method-assign, assignment]
    bench.retire()
    assert bench.broker.topology.bound() == ()


def test_the_history_has_the_time_of_retiring_and_not_of_the_command(bench: Bench) -> None:
    bench.submit(3)
    bench.retire()
    first, *_, last = (event.at_ms for event in bench.versions.read("colour").history)
    assert last - first == pytest.approx(3 * POLL_S * 1000)


def test_its_backfills_are_cancelled_and_no_others(bench: Bench) -> None:
    other = VersionName(model="colour", version=2)
    for version, sha256 in ((COLOUR, ""), (COLOUR, "d" * 64), (other, "")):
        wanted = BackfillRequest(version=version, source="s", ids_sha256=sha256, total=9, by="ann", owner="r")
        take_up(wanted, bench.store.backfills, now_ms=1)
    change_state("colour@1-search", BackfillState.PAUSED, bench.store.backfills, now_ms=2)
    bench.retire()
    states = {record.name: record.state for record in all_backfills(bench.store.backfills)}
    assert states == {
        "colour@1-search": BackfillState.CANCELLED,
        "colour@1-dddddddd": BackfillState.CANCELLED,
        "colour@2-search": BackfillState.RUNNING,
    }


def test_an_active_version_is_not_retired(bench: Bench) -> None:
    bench.versions.activate(bench.card)
    with pytest.raises(UsageError, match="colour@1 is active; activate another version or deactivate it"):
        bench.versions.check_retirable(COLOUR)
