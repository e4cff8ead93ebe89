"""Store, then publish, then ack: in this order, and again from the start if any of it failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from panopticon.cards.cards import ModelCard
from panopticon.errors import Unavailable
from panopticon.interfaces import Delivery
from panopticon.messages import (
    FailedPublished,
    ImageMessage,
    Lane,
    ResultPublished,
    decode_result_message,
    encode,
)
from panopticon.policy.policy import Policy, PolicyEvaluator
from panopticon.results.outputs import Failure, FailureState, Output, OutputKey, quantise
from panopticon.results.undeliverable import failure_of
from storage.stores.sqlite import SqliteStore
from tests.panopticon.null_card import write_null_card
from tests.workers.fakes import Journal, OutputStoreFake, QueueFake
from tests.workers.queues.fake_clock import FakeClock
from workers.queues.sqlite import SqliteBroker
from workers.registry.policy_cache import ResolvedPolicy
from workers.worker.outcomes import Dead, Outcome, Requeued, Retried, Skipped, Stored, Unreadable
from workers.worker.settlement import Settlement

STEPS = [
    "outputs.put",
    "outputs.put_failures",
    "results.submit",
    "undeliverable.submit",
    "queue.requeue",
    "queue.retry",
    "queue.ack",
]
RETRY_DELAY_S = 10.0


@dataclass(kw_only=True)
class Bench:
    """A settlement with a real store and a real broker."""

    card: ModelCard
    clock: FakeClock
    broker: SqliteBroker
    store: SqliteStore
    journal: Journal
    settlement: Settlement

    def deliver(self, *bodies: bytes, lane: Lane = Lane.LIVE) -> list[Delivery]:
        queue = self.broker.model_queue(self.card.version_name)
        queue.submit(bodies, lane)
        return queue.receive(max_live=100, max_backfill=100, wait_s=0)

    def stored(self, image_id: str = "1", *, lane: Lane = Lane.LIVE, red: float = 0.5) -> Stored:
        message = ImageMessage(image_id=image_id, image_uri="file:///x")
        (delivery,) = self.deliver(encode(message), lane=lane)
        return Stored(delivery=delivery, message=message, output=self.output(image_id, red))

    def output(self, image_id: str, red: float) -> Output:
        return Output(
            key=self.key(image_id),
            vector=quantise(np.array([red, 0.25, 0]), self.card.output.dtype),
            digest=self.card.digest,
            engine="null",
            libraries="numpy",
            source_sha256="0" * 64,
            width_px=1,
            height_px=1,
            produced_at_ms=1,
        )

    def key(self, image_id: str) -> OutputKey:
        return OutputKey(image_id=image_id, model=self.card.name, version=1, revision=0)

    def dead(self, image_id: str = "2", *, lane: Lane = Lane.LIVE) -> Dead:
        message = ImageMessage(image_id=image_id)
        (delivery,) = self.deliver(encode(message), lane=lane)
        failure = Failure(
            key=self.key(image_id),
            state=FailureState.DEAD,
            reason="corrupt",
            detail="",
            attempts=0,
            last_at_ms=1,
            message=delivery.body,
        )
        return Dead(delivery=delivery, message=message, failure=failure)

    def one_of_each(self) -> list[Outcome]:
        first, second, third, fourth = self.deliver(b"retried", b"skipped", b"unreadable", b"requeued")
        return [
            self.stored(),
            self.dead(),
            Retried(
                delivery=first,
                message=ImageMessage(image_id="3", revision=7),
                delay_s=RETRY_DELAY_S,
                reason="io_error",
                detail="the disk does not answer",
            ),
            Skipped(delivery=second),
            Unreadable(delivery=third, detail="no message"),
            Requeued(delivery=fourth),
        ]

    def published(self) -> list[tuple[Lane, ResultPublished | FailedPublished]]:
        deliveries = self.broker.results().receive(max_live=100, max_backfill=100, wait_s=0)
        messages = [(delivery.lane, decode_result_message(delivery.body)) for delivery in deliveries]
        return [(lane, m) for lane, m in messages if isinstance(m, ResultPublished | FailedPublished)]

    def in_queue(self) -> tuple[int, int, int]:
        """Messages ready, leased and retrying."""
        depth = self.broker.model_queue(self.card.version_name).depth()[Lane.LIVE]
        return depth.ready, depth.leased, depth.retrying


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/panopticon.db"
    clock, journal, card = FakeClock(), Journal(), write_null_card(tmp_path / "card")
    with closing(SqliteBroker(url, clock=clock)) as broker, closing(SqliteStore(url)) as store:
        settlement = Settlement(
            version=card.version_name,
            policy=lambda: ResolvedPolicy(
                evaluator=PolicyEvaluator(Policy(), task="scoring", labels=card.labels), policy_number=3
            ),
            queue=QueueFake(broker.model_queue(card.version_name), "queue", journal),
            outputs=OutputStoreFake(store.outputs, journal),
            results=QueueFake(broker.results(), "results", journal),
            undeliverable=QueueFake(broker.undeliverable(), "undeliverable", journal),
            clock=clock.time,
        )
        yield Bench(
            card=card, clock=clock, broker=broker, store=store, journal=journal, settlement=settlement
        )


def test_storing_comes_before_publishing_and_that_before_the_queue(bench: Bench) -> None:
    bench.settlement.settle(bench.one_of_each())
    assert bench.journal.steps == STEPS


def test_each_outcome_is_made_permanent(bench: Bench) -> None:
    bench.settlement.settle(bench.one_of_each())
    assert list(bench.store.outputs.get(["1"], bench.card.version_name)) == [bench.key("1")]
    assert [failure.key for failure in bench.store.outputs.failures_of(["2"])] == [bench.key("2")]
    assert [message.kind for _, message in bench.published()] == ["result", "failed"]
    (envelope,) = bench.broker.undeliverable().receive(max_live=9, max_backfill=9, wait_s=0)
    assert failure_of(envelope.body, at_ms=0).message == b"unreadable"
    assert bench.in_queue() == (1, 0, 1)


def test_what_is_requeued_spends_no_attempt_and_what_is_retried_spends_one(bench: Bench) -> None:
    bench.settlement.settle(bench.one_of_each())
    bench.clock.now_s += RETRY_DELAY_S
    queue = bench.broker.model_queue(bench.card.version_name)
    again = queue.receive(max_live=9, max_backfill=9, wait_s=0)
    assert {delivery.body: delivery.attempt for delivery in again} == {b"retried": 1, b"requeued": 0}


@pytest.mark.parametrize(("spend_attempt", "attempts"), [(True, 1), (False, 0)])
def test_a_message_on_a_retry_delay_has_a_record_of_its_image_and_of_its_time(
    bench: Bench, spend_attempt: bool, attempts: int
) -> None:
    retried = next(outcome for outcome in bench.one_of_each() if isinstance(outcome, Retried))
    bench.settlement.settle([replace(retried, spend_attempt=spend_attempt)])
    now_ms = int(bench.clock.time() * 1000)
    assert bench.store.outputs.failures_of(["3"]) == [
        Failure(
            key=bench.card.version_name.key("3", revision=7),
            state=FailureState.RETRYING,
            reason="io_error",
            detail="the disk does not answer",
            attempts=attempts,
            last_at_ms=now_ms,
            message=b"retried",
            retry_at_ms=now_ms + round(RETRY_DELAY_S * 1000),
        )
    ]


def test_no_message_is_on_a_retry_delay_before_its_record_is_stored(bench: Bench) -> None:
    retried = [outcome for outcome in bench.one_of_each() if isinstance(outcome, Retried)]
    bench.journal.down = {"outputs.put_failures"}
    with pytest.raises(Unavailable):
        bench.settlement.settle(retried)
    queue = bench.broker.model_queue(bench.card.version_name)
    assert queue.depth()[Lane.LIVE].retrying == 0
    bench.journal.down = {"queue.retry"}
    with pytest.raises(Unavailable):
        bench.settlement.settle(retried)
    assert [failure.state for failure in bench.store.outputs.failures_of(["3"])] == [FailureState.RETRYING]


def test_many_delays_that_begin_together_are_one_write(bench: Bench) -> None:
    deliveries = bench.deliver(*[b"%d" % number for number in range(50)])
    messages = [ImageMessage(image_id=f"{number}") for number in range(50)]
    bench.settlement.settle(
        [
            Retried(delivery=delivery, message=message, delay_s=RETRY_DELAY_S, reason="host_down")
            for delivery, message in zip(deliveries, messages, strict=True)
        ]
    )
    assert bench.journal.steps.count("outputs.put_failures") == 1
    assert len(bench.store.outputs.failures_of([message.image_id for message in messages])) == 50


@pytest.mark.parametrize("failing", STEPS)
def test_a_step_that_fails_leaves_the_later_ones_undone(bench: Bench, failing: str) -> None:
    outcomes = bench.one_of_each()
    bench.journal.down = {failing}
    with pytest.raises(Unavailable):
        bench.settlement.settle(outcomes)
    assert bench.journal.steps == STEPS[: STEPS.index(failing)]


@pytest.mark.parametrize("failing", STEPS)
def test_settling_again_after_any_failure_ends_as_if_there_had_been_none(bench: Bench, failing: str) -> None:
    outcomes = bench.one_of_each()
    bench.journal.down = {failing}
    with pytest.raises(Unavailable):
        bench.settlement.settle(outcomes)
    bench.journal.down.clear()
    bench.settlement.settle(outcomes)
    assert list(bench.store.outputs.get(["1"], bench.card.version_name)) == [bench.key("1")]
    assert [failure.key for failure in bench.store.outputs.failures_of(["2"])] == [bench.key("2")]
    assert {message.kind for _, message in bench.published()} == {"result", "failed"}
    assert bench.in_queue() == (1, 0, 1)


def test_a_crash_before_the_ack_makes_a_duplicate_and_no_loss(bench: Bench) -> None:
    outcomes = bench.one_of_each()
    bench.journal.down = {"queue.ack"}
    with pytest.raises(Unavailable):
        bench.settlement.settle(outcomes)
    bench.clock.now_s += 3600
    queue = bench.broker.model_queue(bench.card.version_name)
    again = queue.receive(max_live=9, max_backfill=9, wait_s=0)
    assert {b"skipped", b"unreadable", outcomes[0].delivery.body, outcomes[1].delivery.body} <= {
        delivery.body for delivery in again
    }


def test_results_travel_in_the_lane_of_their_image(bench: Bench) -> None:
    outcomes: list[Outcome] = [
        bench.stored("l", lane=Lane.LIVE),
        bench.stored("b", lane=Lane.BACKFILL),
        bench.dead("d", lane=Lane.BACKFILL),
    ]
    bench.settlement.settle(outcomes)
    assert [(lane, message.image_id) for lane, message in bench.published()] == [
        (Lane.LIVE, "l"),
        (Lane.BACKFILL, "b"),
        (Lane.BACKFILL, "d"),
    ]


def test_a_result_is_made_from_the_vector_as_it_is_stored(bench: Bench) -> None:
    stored = bench.stored(red=0.1)
    bench.settlement.settle([stored])
    ((_, message),) = bench.published()
    assert isinstance(message, ResultPublished)
    (output,) = bench.store.outputs.get(["1"], bench.card.version_name).values()
    assert message.scores == dict(zip(("red", "green", "blue"), output.vector.tolist(), strict=True))
    assert message.scores["red"] != 0.1
    assert (message.model, message.version, message.policy_number) == ("colour", 1, 3)


def test_what_is_stored_already_is_published_and_not_stored_again(bench: Bench) -> None:
    fresh = bench.stored()
    again = Stored(delivery=fresh.delivery, message=fresh.message, output=fresh.output, already=True)
    bench.settlement.settle([again])
    assert "outputs.put" not in bench.journal.steps
    assert [message.image_id for _, message in bench.published()] == ["1"]
    assert bench.in_queue() == (0, 0, 0)


def test_a_failure_is_published_with_its_reason(bench: Bench) -> None:
    bench.settlement.settle([bench.dead()])
    ((_, message),) = bench.published()
    assert isinstance(message, FailedPublished)
    assert (message.image_id, message.reason, message.version) == ("2", "corrupt", 1)
