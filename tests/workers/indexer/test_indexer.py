"""Uploads and results are applied to catalogue and search, and acked only afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import pytest
from pydantic import BaseModel

from panopticon.interfaces import (
    Applied,
    Archive,
    Backfills,
    Catalogue,
    LedgerCounts,
    OutputStore,
    Queue,
    Registry,
    Topology,
    Uploads,
)
from panopticon.messages import (
    EPOCH,
    DeletedPublished,
    FailedPublished,
    ImageMessage,
    Lane,
    ModelActivated,
    ResultPublished,
    encode,
)
from panopticon.metrics import Metrics
from panopticon.results.documents import Change
from panopticon.results.outputs import FailureState, VersionName
from panopticon.results.undeliverable import NO_VERSION, encode_envelope
from panopticon.settings import Settings
from storage.search.sqlite import SqliteSearchIndex
from storage.stores.sqlite import SqliteStore
from tests.workers.fakes import CatalogueFake, Journal, OutputStoreFake, QueueFake, SearchIndexFake
from tests.workers.queues.fake_clock import FakeClock
from workers.indexer.indexer import Indexer
from workers.queues.sqlite import SqliteBroker

TAGGER = VersionName(model="tagger", version=1)
DEAD = FailureState.DEAD
ACTIVATED = ModelActivated(model="tagger", version=1, activated_at=EPOCH, activated_by="ann")


def upload(image_id: str = "1", revision: int = 0, *, event: str = "uploaded", uri: str = "") -> ImageMessage:
    fields = {"image_id": image_id, "revision": revision, "event": event, "image_uri": uri or None}
    return ImageMessage.model_validate(fields)


def result(image_id: str = "1", revision: int = 0, **scores: float) -> ResultPublished:
    return ResultPublished(
        image_id=image_id,
        revision=revision,
        model="tagger",
        version=1,
        policy_number=1,
        scores=scores or {"red": 0.5},
    )


class BrokerFake:
    """A Broker whose queues note each call in a journal."""

    def __init__(self, inner: SqliteBroker, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    @property
    def depth_lag_s(self) -> float:
        return self._inner.depth_lag_s

    @property
    def topology(self) -> Topology:
        return self._inner.topology

    @property
    def uploads(self) -> Uploads:
        return self._inner.uploads

    def model_queue(self, version: VersionName) -> Queue:
        return self._inner.model_queue(version)

    def results(self) -> Queue:
        return QueueFake(self._inner.results(), "results", self._journal)

    def catalogue(self) -> Queue:
        return QueueFake(self._inner.catalogue(), "uploads", self._journal)

    def undeliverable(self) -> Queue:
        return QueueFake(self._inner.undeliverable(), "undeliverable", self._journal)

    def announce(self, body: bytes) -> None:
        self._inner.announce(body)

    def close(self) -> None:
        self._inner.close()


class StoreFake:
    """A Store whose outputs and catalogue note each call in a journal."""

    def __init__(self, inner: SqliteStore, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    @property
    def outputs(self) -> OutputStore:
        return OutputStoreFake(self._inner.outputs, self._journal)

    @property
    def catalogue(self) -> Catalogue:
        return CatalogueFake(self._inner.catalogue, self._journal)

    @property
    def registry(self) -> Registry:
        return self._inner.registry

    @property
    def backfills(self) -> Backfills:
        return self._inner.backfills

    @property
    def archive(self) -> Archive:
        return self._inner.archive

    @property
    def counts(self) -> LedgerCounts | None:
        return self._inner.counts

    def close(self) -> None:
        self._inner.close()


@dataclass(kw_only=True)
class Bench:
    clock: FakeClock
    broker: SqliteBroker
    store: SqliteStore
    search: SqliteSearchIndex
    journal: Journal = field(default_factory=Journal)
    metrics: Metrics = field(default_factory=Metrics)
    indexer: Indexer = field(init=False)

    def __post_init__(self) -> None:
        self.indexer = Indexer(
            settings=Settings(originals="file:///photos/{image_id}.jpg", park_max_s=8.0),
            broker=BrokerFake(self.broker, self.journal),
            store=StoreFake(self.store, self.journal),
            search=SearchIndexFake(self.search, self.journal),
            metrics=self.metrics,
            clock=self.clock.monotonic,
        )

    def publish(self, *messages: ImageMessage, lane: Lane = Lane.LIVE) -> None:
        self.broker.uploads.publish(messages, lane)

    def result(self, *messages: BaseModel, lane: Lane = Lane.LIVE) -> None:
        self.broker.results().submit([encode(message) for message in messages], lane)

    @property
    def queues(self) -> list[Queue]:
        return [self.broker.catalogue(), self.broker.results(), self.broker.undeliverable()]

    def waiting(self) -> int:
        return sum(depth.total for queue in self.queues for depth in queue.depth().values())

    def held(self) -> int:
        return sum(depth.leased for queue in self.queues for depth in queue.depth().values())

    def run_until_empty(self) -> None:
        self.run_until(lambda: self.waiting() == 0)

    def run_until(self, done: Callable[[], bool]) -> None:
        """Turn the indexer until `done` is true, with each pause of a parked one cut short."""
        for _ in range(500):
            if done():
                return
            self.clock.now_s += 9
            self.indexer.turn()
        raise AssertionError("500 turns were not enough")

    def deads(self) -> Sequence[tuple[str, bytes]]:
        days = self.store.outputs.failure_days(NO_VERSION)
        found = [self.store.outputs.failures(NO_VERSION, day=day, state=DEAD) for day in days]
        return sorted((failure.reason, failure.message) for failures in found for failure in failures)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url, clock = f"sqlite:///{tmp_path}/panopticon.db", FakeClock()
    with (
        closing(SqliteBroker(url, clock=clock)) as broker,
        closing(SqliteStore(url)) as store,
        closing(SqliteSearchIndex(url)) as search,
    ):
        yield Bench(clock=clock, broker=broker, store=store, search=search)


class TestCatalogue:
    def test_an_upload_is_catalogued(self, bench: Bench) -> None:
        bench.publish(upload(revision=3, uri="file:///a.jpg"))
        assert bench.indexer.turn() == 1
        image = bench.store.catalogue.get(["1"])["1"]
        assert (image.revision, image.image_uri, image.event) == (3, "file:///a.jpg", "uploaded")

    def test_an_upload_without_a_uri_gets_the_uri_of_the_setting(self, bench: Bench) -> None:
        bench.publish(upload("a#1"))
        bench.indexer.turn()
        assert bench.store.catalogue.get(["a#1"])["a#1"].image_uri == "file:///photos/a%231.jpg"

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    @pytest.mark.parametrize("together", [True, False])
    def test_the_highest_revision_stays_in_any_order(
        self, bench: Bench, order: tuple[int, ...], together: bool
    ) -> None:
        for revision in order:
            bench.publish(upload(revision=revision, uri=f"file:///{revision}.jpg"))
            if not together:
                bench.indexer.turn()
        bench.run_until_empty()
        image = bench.store.catalogue.get(["1"])["1"]
        assert (image.revision, image.image_uri) == (2, "file:///2.jpg")

    @pytest.mark.parametrize("order", [("uploaded", "deleted"), ("deleted", "uploaded")])
    def test_a_delete_wins_a_tie(self, bench: Bench, order: tuple[str, ...]) -> None:
        for event in order:
            bench.publish(upload(event=event))
        bench.run_until_empty()
        assert bench.store.catalogue.get(["1"])["1"].deleted

    def test_backfill_is_catalogued_too(self, bench: Bench) -> None:
        bench.publish(*(upload(str(number)) for number in range(50)), lane=Lane.BACKFILL)
        bench.run_until_empty()
        assert len(bench.store.catalogue.get([str(number) for number in range(50)])) == 50


class TestSearch:
    def test_a_delete_reaches_search_even_if_no_model_ever_ran(self, bench: Bench) -> None:
        bench.publish(upload(revision=4, event="deleted"))
        bench.indexer.turn()
        document = bench.search.get(["1"])["1"]
        assert (document.deleted, document.revision) == (True, 4)

    def test_a_result_is_applied(self, bench: Bench) -> None:
        bench.result(result(red=0.25))
        assert bench.indexer.turn() == 1
        part = bench.search.get(["1"])["1"].parts["tagger_1"]
        assert (part.scores, part.policy_number) == ({"red": 0.25}, 1)

    def test_a_failure_of_a_newer_revision_clears_the_older_result(self, bench: Bench) -> None:
        failed = FailedPublished(image_id="1", revision=1, model="tagger", version=1, reason="corrupt")
        bench.result(result(), failed)
        bench.run_until_empty()
        document = bench.search.get(["1"])["1"]
        assert (document.revision, document.parts) == (1, {})

    def test_a_published_delete_is_applied(self, bench: Bench) -> None:
        bench.result(result(), DeletedPublished(image_id="1", revision=0))
        bench.run_until_empty()
        assert bench.search.get(["1"])["1"].deleted

    def test_an_activation_changes_no_document(self, bench: Bench) -> None:
        bench.result(ACTIVATED)
        bench.run_until_empty()
        assert "search.apply" not in bench.journal.steps

    def test_changes_are_counted_by_outcome(self, bench: Bench) -> None:
        bench.result(result(revision=2), result(revision=1))
        bench.run_until_empty()
        get = bench.metrics.registry.get_sample_value
        assert get("panopticon_results_applied_total", {"outcome": "applied"}) == 1
        assert get("panopticon_results_applied_total", {"outcome": "stale"}) == 1

    def test_backfill_does_not_hold_up_a_live_result(self, bench: Bench) -> None:
        bench.result(*(result(f"b{number}") for number in range(300)), lane=Lane.BACKFILL)
        bench.result(result("live"))
        bench.indexer.turn()
        assert "live" in bench.search.get(["live"])


class TestPortions:
    BACKLOG = 1000

    def fill(self, bench: Bench) -> None:
        bench.result(*(result(f"b{number}") for number in range(self.BACKLOG)), lane=Lane.BACKFILL)

    def applied(self, bench: Bench) -> int:
        return len(bench.search.get([f"b{number}" for number in range(self.BACKLOG)]))

    def test_a_backlog_alone_is_taken_in_large_portions(self, bench: Bench) -> None:
        self.fill(bench)
        turns = 0
        while bench.waiting():
            turns += bench.indexer.turn() > 0
        assert turns <= self.BACKLOG / 90 + 1

    def test_portions_of_backfill_are_small_while_live_results_come(self, bench: Bench) -> None:
        self.fill(bench)
        for number in range(20):
            bench.result(result(f"live-{number}"))
            bench.indexer.turn()
        assert self.applied(bench) == 20 * 16

    def test_a_live_result_that_comes_in_the_middle_of_a_backlog_waits_for_less_than_200_of_it(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fill(bench)
        bench.indexer.turn()
        before, apply = self.applied(bench), SearchIndexFake.apply

        def live_meanwhile(index: SearchIndexFake, changes: Sequence[Change]) -> list[Applied]:
            bench.result(result("live"))
            monkeypatch.undo()
            return apply(index, changes)

        monkeypatch.setattr(SearchIndexFake, "apply", live_meanwhile)
        while not bench.search.get(["live"]):
            bench.indexer.turn()
        assert 100 < self.applied(bench) - before < 200


class TestBadBodies:
    BODIES = (b"", b"\xff\x00", b"[]", b'{"kind": "nonsense"}')

    def test_a_bad_result_becomes_a_failure_with_its_body_and_the_others_are_applied(
        self, bench: Bench
    ) -> None:
        bench.result(result("1"))
        bench.broker.results().submit(self.BODIES, Lane.LIVE)
        bench.result(result("2"))
        bench.run_until_empty()
        assert set(bench.search.get(["1", "2"])) == {"1", "2"}
        assert bench.deads() == sorted(("bad_message", body) for body in self.BODIES)

    def test_a_bad_upload_becomes_a_failure_with_its_body_and_the_others_are_applied(
        self, bench: Bench
    ) -> None:
        bench.publish(upload("1"))
        bench.broker.catalogue().submit(self.BODIES, Lane.BACKFILL)
        bench.publish(upload("2"))
        bench.run_until_empty()
        assert set(bench.store.catalogue.get(["1", "2"])) == {"1", "2"}
        assert bench.deads() == sorted(("bad_message", body) for body in self.BODIES)

    def test_a_message_that_a_consumer_dead_lettered_becomes_a_failure_of_its_version(
        self, bench: Bench
    ) -> None:
        envelope = encode_envelope(b"body", version=TAGGER, reason="bad_message", detail="no JSON")
        bench.broker.undeliverable().submit([envelope], Lane.LIVE)
        bench.run_until_empty()
        (day,) = bench.store.outputs.failure_days(TAGGER)
        (failure,) = bench.store.outputs.failures(TAGGER, day=day, state=DEAD)
        assert (failure.reason, failure.detail, failure.message) == ("bad_message", "no JSON", b"body")

    def test_a_message_that_the_broker_dead_lettered_is_kept_and_the_others_too(self, bench: Bench) -> None:
        envelope = encode_envelope(b"body", version=NO_VERSION, reason="bad_message", detail="")
        bench.broker.undeliverable().submit([b'{"image_id": "1"}', envelope], Lane.LIVE)
        bench.run_until_empty()
        assert bench.deads() == [("bad_message", b"body"), ("undeliverable", b'{"image_id": "1"}')]

    def test_a_bad_body_delivered_twice_is_one_failure(self, bench: Bench) -> None:
        bench.broker.results().submit([b"bad", b"bad"], Lane.LIVE)
        bench.run_until_empty()
        assert bench.deads() == [("bad_message", b"bad")]


class TestUnavailable:
    def fill(self, bench: Bench) -> None:
        bench.publish(upload("1"), upload("2", event="deleted"))
        bench.result(result("3"))
        bench.broker.results().submit([b"bad"], Lane.LIVE)

    @pytest.mark.parametrize(
        "step",
        [
            "uploads.receive",
            "catalogue.put",
            "search.apply",
            "uploads.ack",
            "undeliverable.submit",
            "undeliverable.receive",
            "outputs.put_failures",
            "undeliverable.ack",
            "results.receive",
            "results.ack",
        ],
    )
    def test_it_parks_while_a_part_is_down_and_applies_everything_afterwards(
        self, bench: Bench, step: str
    ) -> None:
        self.fill(bench)
        bench.journal.down = {step}
        bench.run_until(lambda: bench.indexer.parked is not None)
        assert bench.waiting() > 0
        bench.journal.down.clear()
        bench.run_until_empty()
        assert bench.indexer.parked is None
        assert set(bench.store.catalogue.get(["1", "2"])) == {"1", "2"}
        assert set(bench.search.get(["2", "3"])) == {"2", "3"}
        assert bench.deads() == [("bad_message", b"bad")]

    @pytest.mark.parametrize("down", ["catalogue.put", "search.apply", "outputs.put_failures"])
    def test_messages_that_could_not_be_applied_are_requeued_at_once(self, bench: Bench, down: str) -> None:
        self.fill(bench)
        bench.journal.down = {down}
        bench.run_until(lambda: bench.indexer.parked is not None)
        assert bench.held() == 0

    @pytest.mark.parametrize("queue", ["uploads", "results", "undeliverable"])
    def test_nothing_is_acked_before_it_is_applied(self, bench: Bench, queue: str) -> None:
        self.fill(bench)
        bench.run_until_empty()
        applying = {
            "uploads": ["catalogue.put", "search.apply"],
            "results": ["undeliverable.submit", "search.apply"],
            "undeliverable": ["outputs.put_failures"],
        }[queue]
        steps = bench.journal.steps
        acked = steps.index(f"{queue}.ack")
        before = steps[:acked]
        taken = len(before) - 1 - before[::-1].index(f"{queue}.receive")
        assert before[taken + 1 :] == applying

    def test_a_part_that_is_down_at_the_start_is_not_reported_as_a_mistake(self, bench: Bench) -> None:
        bench.journal.down = {"search"}
        bench.result(result())
        bench.indexer.refuse_mistakes()
        bench.indexer.turn()
        assert bench.indexer.parked
        bench.journal.down = set()
        bench.run_until_empty()
        assert bench.search.get(["1"])["1"].parts

    @pytest.mark.parametrize("step", ["catalogue.get", "search.get"])
    def test_while_parked_it_takes_no_message_until_store_and_search_answer(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        self.fill(bench)
        bench.journal.down = {"catalogue.put", step}
        bench.indexer.turn()
        bench.journal.steps.clear()
        for _ in range(100):
            bench.clock.now_s += 1
            bench.indexer.turn()
        assert not [step for step in bench.journal.steps if step.endswith(".receive")]

    @pytest.mark.parametrize(
        ("down", "queue"),
        [
            ("catalogue.put", "uploads"),
            ("search.apply", "results"),
            ("outputs.put_failures", "undeliverable"),
        ],
    )
    def test_while_parked_it_keeps_one_message_and_does_not_requeue_it_at_each_probe(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, down: str, queue: str
    ) -> None:
        """A broker counts requeued deliveries, and discards a message in the end."""
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        bench.publish(upload("1"), upload("2"))
        bench.result(result("3"), result("4"))
        bench.broker.undeliverable().submit([b"bad", b"worse"], Lane.LIVE)
        bench.journal.down = {down}
        for _ in range(40):
            bench.clock.now_s += 1
            bench.indexer.turn()
        assert bench.journal.steps.count(f"{queue}.requeue") == 1
        assert bench.held() == 1
        bench.journal.down.clear()
        bench.run_until_empty()
        assert set(bench.store.catalogue.get(["1", "2"])) == {"1", "2"}
        assert set(bench.search.get(["3", "4"])) == {"3", "4"}

    def test_parked_for_long_it_releases_prefetched_messages_once(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        self.fill(bench)
        bench.journal.down = {"search"}
        for _ in range(200):
            bench.clock.now_s += 1
            bench.indexer.turn()
        paused = [step for step in bench.journal.steps if step.endswith(".release_prefetched")]
        assert paused == [
            "uploads.release_prefetched",
            "results.release_prefetched",
            "undeliverable.release_prefetched",
        ]

    def test_during_the_pause_between_probes_it_asks_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        self.fill(bench)
        bench.journal.down = {"catalogue.put"}
        bench.indexer.turn()
        bench.journal.steps.clear()
        assert bench.indexer.turn() == 0
        assert bench.journal.steps == []


def test_an_idle_indexer_waits_for_results_and_does_not_spin(bench: Bench) -> None:
    began_s = bench.clock.now_s
    assert [bench.indexer.turn() for _ in range(10)] == [0] * 10
    assert bench.clock.now_s - began_s >= 10 * 0.24
