"""Uploads and results are applied to catalogue and search, and acked only afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from panopticon.interfaces import Broker, Delivery, Depth, Queue
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
from panopticon.results.outputs import FailureState
from panopticon.results.undeliverable import NO_VERSION, encode_envelope, failure_of
from tests.contracts.examples import QUALITY, TAGGER
from tests.house import House, open_house
from workers.indexer.indexer import Indexer

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


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, originals="file:///photos/{image_id}.jpg", park_max_s=8.0) as house:
        yield house


def depths(house: House) -> list[Depth]:
    queues = house.broker.catalogue(), house.broker.results(), house.broker.undeliverable()
    return [depth for queue in queues for depth in queue.depth().values()]


def waiting(house: House) -> int:
    return sum(depth.total for depth in depths(house))


def held(house: House) -> int:
    return sum(depth.leased for depth in depths(house))


def run_until_empty(house: House) -> None:
    run_until(house, lambda: waiting(house) == 0)


def run_until(house: House, done: Callable[[], bool]) -> None:
    """Turn the indexer until `done` is true, with each pause of a parked one cut short."""
    for _ in range(500):
        if done():
            return
        house.clock.now_s += 9
        house.indexer.turn()
    raise AssertionError("500 turns were not enough")


def dead_letters(house: House) -> Sequence[tuple[str, bytes]]:
    outputs = house.real.store.outputs
    found = [outputs.failures(NO_VERSION, day=day, state=DEAD) for day in outputs.failure_days(NO_VERSION)]
    return sorted((failure.reason, failure.message) for failures in found for failure in failures)


def dead_messages_counted(house: House) -> float:
    """Return the metric of message bodies that were kept as failures."""
    labels = {"model": str(NO_VERSION), "reason": "bad_message"}
    return house.metrics.registry.get_sample_value("panopticon_messages_dead_total", labels) or 0.0


class TestCatalogue:
    def test_an_upload_is_catalogued(self, house: House) -> None:
        house.submit(upload(revision=3, uri="file:///a.jpg"))
        assert house.indexer.turn() == 1
        image = house.row("1")
        assert (image.revision, image.image_uri, image.event) == (3, "file:///a.jpg", "uploaded")

    def test_an_upload_without_a_uri_gets_the_uri_of_the_setting(self, house: House) -> None:
        house.submit(upload("a#1"))
        house.indexer.turn()
        assert house.row("a#1").image_uri == "file:///photos/a%231.jpg"

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    @pytest.mark.parametrize("together", [True, False])
    def test_the_highest_revision_stays_in_any_order(
        self, house: House, order: tuple[int, ...], together: bool
    ) -> None:
        for revision in order:
            house.submit(upload(revision=revision, uri=f"file:///{revision}.jpg"))
            if not together:
                house.indexer.turn()
        run_until_empty(house)
        image = house.row("1")
        assert (image.revision, image.image_uri) == (2, "file:///2.jpg")

    @pytest.mark.parametrize("order", [("uploaded", "deleted"), ("deleted", "uploaded")])
    def test_a_delete_wins_a_tie(self, house: House, order: tuple[str, ...]) -> None:
        for event in order:
            house.submit(upload(event=event))
        run_until_empty(house)
        assert house.row("1").deleted

    def test_backfill_is_catalogued_too(self, house: House) -> None:
        house.submit(*(upload(str(number)) for number in range(50)), lane=Lane.BACKFILL)
        run_until_empty(house)
        assert len(house.real.store.catalogue.get([str(number) for number in range(50)])) == 50


class TestSearch:
    def test_a_delete_reaches_search_even_if_no_model_ever_ran(self, house: House) -> None:
        house.submit(upload(revision=4, event="deleted"))
        house.indexer.turn()
        document = house.document("1")
        assert (document.deleted, document.revision) == (True, 4)

    def test_a_result_is_applied(self, house: House) -> None:
        house.publish(result(red=0.25))
        assert house.indexer.turn() == 1
        part = house.document("1").parts["tagger_1"]
        assert (part.scores, part.policy_number) == ({"red": 0.25}, 1)

    def test_a_failure_of_a_newer_revision_clears_the_older_result(self, house: House) -> None:
        failed = FailedPublished(image_id="1", revision=1, model="tagger", version=1, reason="corrupt")
        house.publish(result(), failed)
        run_until_empty(house)
        document = house.document("1")
        assert (document.revision, document.parts) == (1, {})

    def test_a_published_delete_is_applied(self, house: House) -> None:
        house.publish(result(), DeletedPublished(image_id="1", revision=0))
        run_until_empty(house)
        assert house.document("1").deleted

    def test_an_activation_changes_no_document(self, house: House) -> None:
        house.publish(ACTIVATED)
        run_until_empty(house)
        assert "search.apply" not in house.journal.steps

    def test_changes_are_counted_by_outcome(self, house: House) -> None:
        house.publish(result(revision=2), result(revision=1))
        run_until_empty(house)
        get = house.metrics.registry.get_sample_value
        assert get("panopticon_results_applied_total", {"outcome": "applied"}) == 1
        assert get("panopticon_results_applied_total", {"outcome": "stale"}) == 1

    def test_backfill_does_not_hold_up_a_live_result(self, house: House) -> None:
        house.publish(*(result(f"b{number}") for number in range(300)), lane=Lane.BACKFILL)
        house.publish(result("live"))
        house.indexer.turn()
        assert "live" in house.real.search.get(["live"])


class TestPortions:
    BACKLOG = 1000

    def fill(self, house: House) -> None:
        house.publish(*(result(f"b{number}") for number in range(self.BACKLOG)), lane=Lane.BACKFILL)

    def applied(self, house: House) -> int:
        return len(house.real.search.get([f"b{number}" for number in range(self.BACKLOG)]))

    def test_a_backlog_alone_is_taken_in_large_portions(self, house: House) -> None:
        self.fill(house)
        turns = 0
        while waiting(house):
            turns += house.indexer.turn() > 0
        assert turns <= self.BACKLOG / 90 + 1

    def test_portions_of_backfill_are_small_while_live_results_come(self, house: House) -> None:
        self.fill(house)
        for number in range(20):
            house.publish(result(f"live-{number}"))
            house.indexer.turn()
        assert self.applied(house) == 20 * 16

    def test_a_live_result_that_comes_in_the_middle_of_a_backlog_waits_for_less_than_200_of_it(
        self, house: House
    ) -> None:
        self.fill(house)
        house.indexer.turn()
        before = self.applied(house)
        house.journal.before["search.apply"] = lambda: house.publish(result("live"))
        while not house.real.search.get(["live"]):
            house.indexer.turn()
        assert 100 < self.applied(house) - before < 200


class TestBadBodies:
    BODIES = (b"", b"\xff\x00", b"[]", b'{"kind": "nonsense"}')

    def test_a_bad_result_becomes_a_failure_with_its_body_and_the_others_are_applied(
        self, house: House
    ) -> None:
        house.publish(result("1"))
        house.real.broker.results().submit(self.BODIES, Lane.LIVE)
        house.publish(result("2"))
        run_until_empty(house)
        assert set(house.real.search.get(["1", "2"])) == {"1", "2"}
        assert dead_letters(house) == sorted(("bad_message", body) for body in self.BODIES)

    def test_a_bad_upload_becomes_a_failure_with_its_body_and_the_others_are_applied(
        self, house: House
    ) -> None:
        house.submit(upload("1"))
        house.real.broker.catalogue().submit(self.BODIES, Lane.BACKFILL)
        house.submit(upload("2"))
        run_until_empty(house)
        assert set(house.real.store.catalogue.get(["1", "2"])) == {"1", "2"}
        assert dead_letters(house) == sorted(("bad_message", body) for body in self.BODIES)

    def test_a_message_that_was_delivered_too_often_becomes_a_failure_of_its_version(
        self, house: House
    ) -> None:
        envelope = encode_envelope(b"body", version=TAGGER, reason="delivery_limit", detail="too often")
        house.real.broker.undeliverable().submit([envelope], Lane.LIVE)
        run_until_empty(house)
        (day,) = house.real.store.outputs.failure_days(TAGGER)
        (failure,) = house.real.store.outputs.failures(TAGGER, day=day, state=DEAD)
        assert (failure.reason, failure.detail, failure.message) == ("delivery_limit", "too often", b"body")

    def test_bad_uploads_are_stored_and_counted_once_though_every_queue_has_them(self, house: House) -> None:
        house.register(TAGGER, QUALITY)
        bodies = [b"bad %d" % number for number in range(330)]
        house.real.broker.catalogue().submit(bodies, Lane.LIVE)
        in_model_queues = [
            encode_envelope(body, version=version, reason="bad_message", detail="no JSON")
            for version in (TAGGER, QUALITY)
            for body in bodies
        ]
        house.real.broker.undeliverable().submit(in_model_queues, Lane.LIVE)
        run_until_empty(house)
        assert dead_letters(house) == sorted(("bad_message", body) for body in bodies)
        assert house.real.store.counts is not None
        assert house.real.store.counts.dead(NO_VERSION) == 330
        assert house.real.store.counts.count(TAGGER, retired=False).dead == 0
        assert dead_messages_counted(house) == 330

    def test_a_bad_message_in_one_model_s_queue_only_is_kept(self, house: House) -> None:
        envelope = encode_envelope(b"body", version=TAGGER, reason="bad_message", detail="no JSON")
        house.real.broker.undeliverable().submit([envelope], Lane.LIVE)
        run_until_empty(house)
        assert dead_letters(house) == [("bad_message", b"body")]
        assert dead_messages_counted(house) == 1

    def test_a_bad_body_that_comes_again_and_again_is_written_once_an_hour(self, house: House) -> None:
        for _ in range(5):
            house.real.broker.catalogue().submit([b"bad"] * 300, Lane.LIVE)
            run_until_empty(house)
        assert house.journal.steps.count("outputs.put_failures") == 1
        assert dead_messages_counted(house) == 1

    def test_a_body_that_was_kept_long_ago_gets_the_new_time_and_is_not_counted_again(
        self, house: House
    ) -> None:
        envelope = encode_envelope(b"bad", version=NO_VERSION, reason="bad_message", detail="")
        long_ago = failure_of(envelope, at_ms=1)
        house.real.store.outputs.put_failures([long_ago])
        house.real.broker.undeliverable().submit([envelope], Lane.LIVE)
        run_until_empty(house)
        (kept,) = house.real.store.outputs.failures_of([long_ago.key.image_id])
        assert kept.last_at_ms > long_ago.last_at_ms
        assert dead_messages_counted(house) == 0

    def test_a_discarded_body_that_comes_again_is_dead_again(self, house: House) -> None:
        for _ in range(2):
            house.real.broker.catalogue().submit([b"bad"], Lane.LIVE)
            run_until_empty(house)
            assert dead_letters(house) == [("bad_message", b"bad")]
            (day,) = house.real.store.outputs.failure_days(NO_VERSION)
            failures = house.real.store.outputs.failures(NO_VERSION, day=day, state=DEAD)
            house.real.store.outputs.discard_failures([failure.key for failure in failures])
        assert dead_messages_counted(house) == 2

    def test_a_message_that_the_broker_dead_lettered_is_kept_and_the_others_too(self, house: House) -> None:
        envelope = encode_envelope(b"body", version=NO_VERSION, reason="bad_message", detail="")
        house.real.broker.undeliverable().submit([b'{"image_id": "1"}', envelope], Lane.LIVE)
        run_until_empty(house)
        assert dead_letters(house) == [("bad_message", b"body"), ("undeliverable", b'{"image_id": "1"}')]

    def test_a_bad_body_delivered_twice_is_one_failure(self, house: House) -> None:
        house.real.broker.results().submit([b"bad", b"bad"], Lane.LIVE)
        run_until_empty(house)
        assert dead_letters(house) == [("bad_message", b"bad")]


class KeyedQueueFake:
    """A queue whose deliveries carry a routing key, as those of RabbitMQ do."""

    def __init__(self, inner: Queue, routing_key: str) -> None:
        self._inner = inner
        self._routing_key = routing_key

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        received = self._inner.receive(max_live=max_live, max_backfill=max_backfill, wait_s=wait_s)
        return [replace(delivery, routing_key=self._routing_key) for delivery in received]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class KeyedBrokerFake:
    """A broker whose catalogue queue is a `KeyedQueueFake`."""

    def __init__(self, inner: Broker, routing_key: str) -> None:
        self._inner = inner
        self._routing_key = routing_key

    def catalogue(self) -> KeyedQueueFake:
        return KeyedQueueFake(self._inner.catalogue(), self._routing_key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TestRoutingKeys:
    """On RabbitMQ the key decides which queues a message reaches, and the body what it is about."""

    def indexed_under(self, house: House, key: str, message: ImageMessage) -> None:
        house.real.broker.catalogue().submit([encode(message)], Lane.LIVE)
        indexer = Indexer(
            settings=house.settings,
            store=house.store,
            broker=KeyedBrokerFake(house.broker, key),
            search=house.search,
            metrics=house.metrics,
        )
        while indexer.turn():
            pass

    @pytest.mark.parametrize("key", ["image.deleted", "backfill.deleted"])
    def test_an_upload_under_the_key_of_deletes_is_refused_and_not_catalogued(
        self, house: House, key: str
    ) -> None:
        self.indexed_under(house, key, upload())
        assert house.real.store.catalogue.get(["1"]) == {}
        ((reason, body),) = dead_letters(house)
        assert (reason, body) == ("bad_message", encode(upload()))
        (day,) = house.real.store.outputs.failure_days(NO_VERSION)
        (failure,) = house.real.store.outputs.failures(NO_VERSION, day=day, state=DEAD)
        assert key in failure.detail
        assert "'uploaded'" in failure.detail

    @pytest.mark.parametrize("key", ["image.uploaded", "backfill.uploaded"])
    def test_a_delete_under_the_key_of_uploads_is_refused_and_deletes_nothing(
        self, house: House, key: str
    ) -> None:
        house.submit(upload())
        run_until_empty(house)
        self.indexed_under(house, key, upload(event="deleted"))
        assert not house.row("1").deleted
        assert [reason for reason, _ in dead_letters(house)] == ["bad_message"]

    @pytest.mark.parametrize(
        ("key", "event"),
        [
            ("image.uploaded", "uploaded"),
            ("backfill.deleted", "deleted"),
            ("panopticon.catalogue", "uploaded"),
            ("panopticon.catalogue.backfill", "deleted"),
            ("", "deleted"),
        ],
    )
    def test_a_key_that_agrees_and_the_name_of_a_queue_are_accepted(
        self, house: House, key: str, event: str
    ) -> None:
        self.indexed_under(house, key, upload(event=event))
        assert house.row("1").event == event
        assert dead_letters(house) == []


class TestUnavailable:
    def fill(self, house: House) -> None:
        house.submit(upload("1"), upload("2", event="deleted"))
        house.publish(result("3"))
        house.real.broker.results().submit([b"bad"], Lane.LIVE)

    @pytest.mark.parametrize(
        "step",
        [
            "uploads.receive",
            "catalogue.put",
            "search.apply",
            "broker.publish_downstream",
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
        self, house: House, step: str
    ) -> None:
        self.fill(house)
        house.journal.down = {step}
        run_until(house, lambda: house.indexer.parked is not None)
        assert waiting(house) > 0
        house.journal.down.clear()
        run_until_empty(house)
        assert house.indexer.parked is None
        assert set(house.real.store.catalogue.get(["1", "2"])) == {"1", "2"}
        assert set(house.real.search.get(["2", "3"])) == {"2", "3"}
        assert dead_letters(house) == [("bad_message", b"bad")]

    @pytest.mark.parametrize("down", ["catalogue.put", "search.apply", "outputs.put_failures"])
    def test_messages_that_could_not_be_applied_are_requeued_at_once(self, house: House, down: str) -> None:
        self.fill(house)
        house.journal.down = {down}
        run_until(house, lambda: house.indexer.parked is not None)
        assert held(house) == 0

    @pytest.mark.parametrize("queue", ["uploads", "results", "undeliverable"])
    def test_nothing_is_acked_before_it_is_applied(self, house: House, queue: str) -> None:
        self.fill(house)
        run_until_empty(house)
        applying = {
            "uploads": ["catalogue.put", "search.apply", "broker.publish_downstream"],
            "results": ["undeliverable.submit", "search.apply"],
            "undeliverable": ["outputs.put_failures"],
        }[queue]
        steps = house.journal.steps
        acked = steps.index(f"{queue}.ack")
        before = [step for step in steps[:acked] if step != "registry.read"]
        taken = len(before) - 1 - before[::-1].index(f"{queue}.receive")
        assert before[taken + 1 :] == applying

    def test_a_part_that_is_down_at_the_start_is_not_reported_as_a_mistake(self, house: House) -> None:
        house.journal.down = {"search"}
        house.publish(result())
        house.indexer.refuse_mistakes()
        house.indexer.turn()
        assert house.indexer.parked
        house.journal.down = set()
        run_until_empty(house)
        assert house.document("1").parts

    @pytest.mark.parametrize("step", ["catalogue.get", "search.exists"])
    def test_while_parked_it_takes_no_message_until_store_and_search_answer(
        self, house: House, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        self.fill(house)
        house.journal.down = {"catalogue.put", step}
        house.indexer.turn()
        house.journal.steps.clear()
        for _ in range(100):
            house.clock.now_s += 1
            house.indexer.turn()
        assert not [step for step in house.journal.steps if step.endswith(".receive")]

    @pytest.mark.parametrize(
        ("down", "queue"),
        [
            ("catalogue.put", "uploads"),
            ("search.apply", "results"),
            ("outputs.put_failures", "undeliverable"),
        ],
    )
    def test_while_parked_it_keeps_one_message_and_does_not_requeue_it_at_each_probe(
        self, house: House, monkeypatch: pytest.MonkeyPatch, down: str, queue: str
    ) -> None:
        """A broker counts requeued deliveries, and discards a message in the end."""
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        house.submit(upload("1"), upload("2"))
        house.publish(result("3"), result("4"))
        house.real.broker.undeliverable().submit([b"bad", b"worse"], Lane.LIVE)
        house.journal.down = {down}
        for _ in range(40):
            house.clock.now_s += 1
            house.indexer.turn()
        assert house.journal.steps.count(f"{queue}.requeue") == 1
        assert held(house) == 1
        house.journal.down.clear()
        run_until_empty(house)
        assert set(house.real.store.catalogue.get(["1", "2"])) == {"1", "2"}
        assert set(house.real.search.get(["3", "4"])) == {"3", "4"}

    def test_parked_for_long_it_releases_prefetched_messages_once(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        self.fill(house)
        house.journal.down = {"search"}
        for _ in range(200):
            house.clock.now_s += 1
            house.indexer.turn()
        paused = [step for step in house.journal.steps if step.endswith(".release_prefetched")]
        assert paused == [
            "uploads.release_prefetched",
            "results.release_prefetched",
            "undeliverable.release_prefetched",
        ]

    def test_during_the_pause_between_probes_it_asks_nothing(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.indexer.indexer.IDLE_WAIT_S", 0.0)
        self.fill(house)
        house.journal.down = {"catalogue.put"}
        house.indexer.turn()
        house.journal.steps.clear()
        assert house.indexer.turn() == 0
        assert house.journal.steps == []


def test_an_idle_indexer_waits_for_results_and_does_not_spin(house: House) -> None:
    began_s = house.clock.now_s
    assert [house.indexer.turn() for _ in range(10)] == [0] * 10
    assert house.clock.now_s - began_s >= 10 * 0.24
