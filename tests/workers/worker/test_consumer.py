"""The outcome of every answer, and the behaviour of a consumer while any component is down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.interfaces import FetchLimits, ModelRunner
from panopticon.messages import Lane
from panopticon.results.undeliverable import failure_of
from panopticon.scheduling.guard import LEAST, WINDOW
from panopticon.scheduling.items import Answer, Item, NotRun
from panopticon.settings import Settings
from storage.originals import open_originals
from tests.contracts.model_runner import ModelRunnerContract
from tests.stranger_uris import NOT_SERVED, WITHOUT_CREDENTIALS
from tests.workers.queues.fake_clock import FakeClock
from tests.workers.worker.consumer_bench import (
    BEST_BATCH,
    CREDIT,
    HELLO,
    ConsumerBench,
    ModelRunnerFake,
    consumer_bench,
    not_run,
    ran,
    silent,
)

DOWN = Unavailable("source", "no answer")
MODEL_DOWN = Unavailable("model", "its self-test failed")
FAILED_AT_FIRST = LEAST // 2 + 1
"""The images that a worker without a success fails before the others wait."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ConsumerBench]:
    with consumer_bench(tmp_path, retry_delays_s=(10.0, 60.0)) as made:
        yield made


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def first_then(first: int, error: Callable[[Item], Answer | None]) -> Callable[[Item], Answer | None]:
    """The model answers `first` times with `error`, and then runs."""
    left = [first]

    def answer(item: Item) -> Answer | None:
        left[0] -= 1
        return error(item) if left[0] >= 0 else ran(item)

    return answer


class TestModelRunnerFake(ModelRunnerContract):
    @pytest.fixture
    def runner(self) -> ModelRunner:
        return ModelRunnerFake(clock=FakeClock())

    @pytest.fixture
    def uri(self) -> str:
        return "file:///1"

    @pytest.fixture
    def encoded(self) -> bytes:
        return b"of 1"


class TestAnswers:
    def test_an_image_that_ran_is_stored_published_and_gone_from_the_queue(
        self, bench: ConsumerBench
    ) -> None:
        bench.submit("1", revision=7)
        bench.run_until_settled()
        ((output,),) = bench.outputs().values()
        assert (output.key.image_id, output.key.model, output.key.revision) == ("1", "colour", 7)
        assert (output.vector.tolist(), output.digest) == ([0.5, 0, 0], bench.card.digest)
        assert bench.published() == [("result", "1")]

    def test_an_image_without_a_uri_is_fetched_from_the_place_that_the_setting_names(
        self, tmp_path: Path
    ) -> None:
        with consumer_bench(tmp_path, originals="file:///photos/{image_id}.jpg") as bench:
            bench.submit("1#2", image_uri=None)
            bench.run_until(lambda: bool(bench.model.seen))
            assert bench.model.seen[0].uri == "file:///photos/1%232.jpg"

    def test_an_image_without_a_uri_and_without_that_setting_is_dead(self, bench: ConsumerBench) -> None:
        bench.submit("1", image_uri=None)
        bench.run_until_settled()
        assert bench.dead()["1"].reason == "no_uri"
        assert bench.published() == [("failed", "1")]

    def test_a_rejected_image_is_dead_at_once_and_its_failure_holds_the_message(
        self, bench: ConsumerBench
    ) -> None:
        bench.model.answer = not_run(Rejected("corrupt", "bad marker"))
        body = b'{"image_id": "1", "image_uri": "file:///1", "unknown": "\xe7\x8c\xab"}'
        bench.queue.submit([body], Lane.LIVE)
        bench.run_until_settled()
        failure = bench.dead()["1"]
        assert (failure.reason, failure.detail, failure.attempts) == ("corrupt", "bad marker", 0)
        assert failure.message == body
        assert bench.published() == [("failed", "1")]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_vector_that_is_not_finite_is_never_stored(self, bench: ConsumerBench, value: float) -> None:
        bench.model.answer = lambda item: ran(item, red=value)
        bench.submit("1")
        bench.run_until_settled()
        assert (bench.stored(), bench.dead()["1"].reason) == ([], "not_finite")

    def test_a_deleted_image_is_not_run(self, bench: ConsumerBench) -> None:
        bench.submit("1", event="deleted")
        bench.run_until_settled()
        assert (bench.model.seen, bench.stored(), bench.dead(), bench.published()) == ([], [], {}, [])

    @pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[]", b'{"image_id": ""}'])
    def test_a_body_that_is_not_a_message_is_dead_lettered_unchanged_and_harms_no_other(
        self, bench: ConsumerBench, body: bytes
    ) -> None:
        bench.submit("1")
        bench.queue.submit([body], Lane.LIVE)
        bench.submit("2")
        bench.run_until_settled()
        (envelope,) = bench.broker.undeliverable().receive(max_live=9, max_backfill=9, wait_s=0)
        failure = failure_of(envelope.body, at_ms=0)
        assert (failure.message, failure.reason) == (body, "bad_message")
        assert failure.detail.endswith("(in the queue of colour@1)")
        assert bench.stored() == ["1", "2"]

    def test_each_image_has_its_own_answer(self, bench: ConsumerBench) -> None:
        refuse = not_run(Rejected("corrupt"))
        bench.model.answer = lambda item: (
            refuse(item) if item.uri in ("file:///2", "file:///5") else ran(item)
        )
        bench.submit(*numbers(1, 6))
        bench.run_until_settled()
        assert bench.stored() == ["1", "3", "4", "6"]
        assert sorted(bench.dead()) == ["2", "5"]

    def test_each_outcome_is_counted_once(self, bench: ConsumerBench) -> None:
        bench.model.answer = first_then(1, not_run(Rejected("corrupt")))
        bench.submit("1", "2", "3")
        bench.run_until_settled()
        get = bench.metrics.registry.get_sample_value
        stored = get("panopticon_images_stored_total", {"model": "colour@1", "lane": "live"})
        assert stored == 2
        assert get("panopticon_images_dead_total", {"model": "colour@1", "reason": "corrupt"}) == 1


class TestRetryDelays:
    def test_each_transient_error_spends_one_attempt_and_waits_its_delay(self, bench: ConsumerBench) -> None:
        bench.model.answer = not_run(Transient("io_error", "EIO"))
        bench.submit("1")
        for delay_s in (10.0, 60.0):
            bench.run_until(lambda: bench.depth().retrying == 1)
            seen, until_s = len(bench.model.seen), bench.clock.now_s + delay_s
            bench.run_until(lambda seen=seen: len(bench.model.seen) > seen)  # type: ignore[misc]
            assert until_s - 1 < bench.clock.now_s < until_s + 1

    def test_after_the_last_retry_delay_it_is_dead(self, bench: ConsumerBench) -> None:
        bench.model.answer = not_run(Transient("io_error", "EIO"))
        bench.submit("1")
        bench.run_until_settled()
        failure = bench.dead()["1"]
        assert (failure.reason, failure.attempts, len(bench.model.seen)) == ("io_error", 2, 3)

    def test_an_image_that_passes_later_is_stored(self, bench: ConsumerBench) -> None:
        bench.model.answer = first_then(2, not_run(Transient("io_error")))
        bench.submit("1")
        bench.run_until_settled()
        assert (bench.stored(), bench.dead()) == (["1"], {})

    def test_without_retry_delays_the_first_transient_error_is_the_last(self, tmp_path: Path) -> None:
        with consumer_bench(tmp_path, retry_delays_s=()) as bench:
            bench.model.answer = not_run(Transient("io_error"))
            bench.submit("1")
            bench.run_until_settled()
            assert len(bench.model.seen) == 1


class TestSeenBefore:
    def run_once(self, bench: ConsumerBench) -> None:
        bench.submit("1")
        bench.run_until_settled()
        bench.published()
        bench.model.seen.clear()
        bench.journal.steps.clear()

    def test_a_fresh_image_is_not_looked_up(self, bench: ConsumerBench) -> None:
        self.run_once(bench)
        bench.submit("1")
        bench.run_until_settled()
        assert "outputs.get" not in bench.journal.steps
        assert len(bench.model.seen) == 1

    def test_backfill_that_is_stored_is_published_without_running_the_model(
        self, bench: ConsumerBench
    ) -> None:
        self.run_once(bench)
        bench.submit("1", lane=Lane.BACKFILL)
        bench.run_until_settled()
        assert (bench.model.seen, bench.published()) == ([], [("result", "1")])
        assert "outputs.put" not in bench.journal.steps

    def test_a_redelivered_image_that_is_stored_is_published_without_running_the_model(
        self, bench: ConsumerBench
    ) -> None:
        self.run_once(bench)
        bench.submit("1")
        bench.queue.receive(max_live=1, max_backfill=0, wait_s=0)
        bench.clock.now_s += bench.settings.lease_s + 1
        bench.run_until_settled()
        assert (bench.model.seen, bench.published()) == ([], [("result", "1")])

    def test_a_retried_image_that_was_stored_meanwhile_is_not_run_again(self, bench: ConsumerBench) -> None:
        bench.model.answer = not_run(Transient("io_error"))
        bench.submit("1")
        bench.run_until(lambda: bench.depth().retrying == 1)
        bench.model.answer = ran
        bench.submit("1")
        bench.run_until(lambda: bench.waiting() == 1)
        bench.run_until_settled()
        assert len(bench.model.seen) == 2

    def test_backfill_of_another_revision_is_run(self, bench: ConsumerBench) -> None:
        self.run_once(bench)
        bench.submit("1", lane=Lane.BACKFILL, revision=1)
        bench.run_until_settled()
        assert len(bench.model.seen) == 1
        assert sorted(output.key.revision for output in bench.outputs()["1"]) == [0, 1]

    def test_an_output_of_another_digest_is_run_again(self, bench: ConsumerBench) -> None:
        self.run_once(bench)
        ((output,),) = bench.outputs().values()
        bench.store.outputs.put(
            [replace(output, digest="of other weights", produced_at_ms=output.produced_at_ms + 1)]
        )
        bench.submit("1", lane=Lane.BACKFILL)
        bench.run_until_settled()
        assert len(bench.model.seen) == 1


class TestUnavailable:
    @pytest.mark.parametrize(
        "step",
        [
            "queue.receive",
            "queue.renew",
            "queue.ack",
            "outputs.get",
            "outputs.put",
            "results.submit",
            "queue",
            "outputs",
        ],
    )
    def test_a_component_that_is_down_parks_the_worker_spends_no_attempt_and_work_resumes_by_itself(
        self, bench: ConsumerBench, step: str
    ) -> None:
        bench.submit(*numbers(1, 6), lane=Lane.BACKFILL)
        bench.journal.down = {step}
        part = step.partition(".")[0]
        bench.run_until(lambda: bench.parked_on() == part)
        bench.turns(500)
        bench.journal.down.clear()
        bench.run_until_settled()
        bench.run_until(lambda: bench.parked_on() is None)
        assert (bench.stored(), bench.dead()) == (numbers(1, 6), {})
        assert sorted(set(bench.published())) == [("result", each) for each in numbers(1, 6)]

    def test_while_the_store_is_down_no_more_is_taken_than_there_is_credit_for(
        self, bench: ConsumerBench
    ) -> None:
        bench.submit(*numbers(1, 100), lane=Lane.BACKFILL)
        bench.journal.down = {"outputs.get"}
        bench.turns(3000)
        assert bench.depth(Lane.BACKFILL).leased == bench.consumer.in_flight <= CREDIT

    def test_what_was_taken_before_the_store_went_down_is_not_run_if_it_is_stored(
        self, bench: ConsumerBench
    ) -> None:
        bench.submit("1")
        bench.run_until_settled()
        bench.journal.down = {"outputs.get"}
        bench.submit("1", lane=Lane.BACKFILL)
        bench.turns(100)
        bench.journal.down.clear()
        bench.run_until_settled()
        assert len(bench.model.seen) == 1

    def test_an_outage_is_over_once_something_got_through_though_more_is_in_flight(
        self, bench: ConsumerBench
    ) -> None:
        bench.model.answer = lambda item: None if item.uri == "file:///6" else ran(item)
        bench.submit(*numbers(1, 6))
        bench.journal.down = {"outputs.put"}
        bench.run_until(lambda: bench.consumer.parked is not None)
        bench.journal.down.clear()
        bench.run_until(lambda: bench.consumer.parked is None)
        assert (bench.consumer.in_flight, bench.stored()) == (1, numbers(1, 5))

    def test_a_parked_worker_tries_seldom(self, bench: ConsumerBench) -> None:
        bench.submit("1")
        bench.journal.down = {"queue"}
        began_s = bench.clock.now_s
        bench.run_until(lambda: bench.clock.now_s > began_s + 100)
        tries = len(bench.journal.failed)
        assert 100 / 8 <= tries <= 100 / 4 + 8

    def test_leases_are_renewed_while_it_is_parked(self, tmp_path: Path) -> None:
        with consumer_bench(tmp_path, park_hold_s=1000) as bench:
            bench.submit(*numbers(1, 6))
            bench.journal.down = {"outputs.put"}
            bench.run_until(lambda: bench.consumer.parked is not None)
            until_s = bench.clock.now_s + 5 * bench.settings.lease_s
            while bench.clock.now_s < until_s:
                bench.turns(1)
                assert bench.depth().leased == 6

    def test_leases_are_renewed_while_the_model_is_busy(self, bench: ConsumerBench) -> None:
        bench.model.answer = silent
        bench.submit(*numbers(1, 6))
        bench.run_until(lambda: bench.depth().leased == 6)
        until_s = bench.clock.now_s + 3 * bench.settings.lease_s
        while bench.clock.now_s < until_s:
            bench.turns(1)
            assert bench.depth().leased == 6

    def test_a_model_that_is_down_parks_takes_nothing_and_is_noticed_as_soon_as_it_is_back(
        self, bench: ConsumerBench
    ) -> None:
        bench.model.down, bench.model.hello = MODEL_DOWN, None
        bench.submit("1")
        bench.turns(200)
        assert bench.consumer.parked is MODEL_DOWN
        assert bench.depth().ready == 1
        bench.model.down, bench.model.hello = None, HELLO
        began_s = bench.clock.now_s
        bench.run_until_settled()
        assert bench.clock.now_s - began_s < 1

    def test_what_was_run_before_the_model_went_down_is_settled(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 3))
        bench.turns(1)
        bench.model.down, bench.model.hello = MODEL_DOWN, None
        bench.run_until_settled()
        assert bench.stored() == numbers(1, 3)

    def test_a_model_that_is_not_ready_yet_takes_nothing(self, bench: ConsumerBench) -> None:
        bench.model.hello, bench.model.best_batch, bench.model.credit = None, 0, 0
        bench.submit("1")
        bench.turns(20)
        assert (bench.depth().ready, bench.consumer.parked) == (1, None)

    def test_a_source_that_is_down_spends_no_attempt_and_its_images_go_on_by_themselves(
        self, bench: ConsumerBench
    ) -> None:
        bench.model.answer = first_then(15, not_run(DOWN))
        bench.submit(*numbers(1, 6))
        bench.run_until(lambda: bench.consumer.parked is not None)
        bench.run_until_settled()
        bench.run_until(lambda: bench.parked_on() is None)
        assert (bench.stored(), bench.dead()) == (numbers(1, 6), {})

    def test_a_source_that_is_down_is_tried_with_one_image_at_a_time_and_ever_less_often(
        self, tmp_path: Path
    ) -> None:
        with consumer_bench(tmp_path, park_hold_s=1000) as bench:
            bench.model.answer = not_run(DOWN)
            bench.submit(*numbers(1, 6))
            bench.run_until(lambda: bench.consumer.parked is not None)
            bench.model.seen.clear()
            bench.model.most_held = 0
            began_s = bench.clock.now_s
            bench.run_until(lambda: bench.clock.now_s > began_s + 100)
            assert bench.model.most_held == 1
            assert 100 / 8 - 1 <= len(bench.model.seen) <= 100 / 4 + 8
            assert len({item.uri for item in bench.model.seen}) == 6


class TestRegistry:
    def test_a_worker_that_cannot_read_the_current_policy_parks_and_takes_nothing(
        self, bench: ConsumerBench
    ) -> None:
        bench.registry_down = Unavailable("store", "the registry could not be read for too long")
        bench.submit("1")
        bench.turns(50)
        assert (bench.parked_on(), bench.depth().leased, bench.published()) == ("store", 0, [])

    def test_what_is_in_flight_is_published_once_the_registry_is_back(self, bench: ConsumerBench) -> None:
        bench.model.answer = silent
        bench.submit("1")
        bench.turns(2)
        bench.registry_down = Unavailable("store", "the registry could not be read for too long")
        bench.model.answer = ran
        bench.turns(50)
        assert (bench.stored(), bench.published()) == ([], [])
        bench.registry_down = None
        bench.run_until_settled()
        assert (bench.stored(), bench.published(), bench.dead()) == (["1"], [("result", "1")], {})


class TestParkedForLong:
    def hold_for_long(self, bench: ConsumerBench) -> None:
        """Turn until some time after `park_hold_s`."""
        bench.run_until(lambda: bench.consumer.parked is not None)
        began_s = bench.clock.now_s
        bench.run_until(lambda: bench.clock.now_s > began_s + bench.settings.park_hold_s + 20)

    def requeues(self, bench: ConsumerBench) -> int:
        return bench.journal.steps.count("queue.release_prefetched")

    def test_until_then_it_keeps_what_it_has_leased(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 6))
        bench.journal.down = {"outputs"}
        bench.run_until(lambda: bench.consumer.parked is not None)
        began_s = bench.clock.now_s
        bench.run_until(lambda: bench.clock.now_s > began_s + bench.settings.park_hold_s - 1)
        assert bench.depth().leased == 6

    def test_what_could_not_be_stored_is_requeued_once_and_another_worker_can_take_it(
        self, bench: ConsumerBench
    ) -> None:
        bench.submit(*numbers(1, 6))
        bench.journal.down = {"outputs"}
        self.hold_for_long(bench)
        assert (bench.consumer.in_flight, bench.depth().leased, bench.attempts()) == (0, 0, [0] * 6)
        bench.queue.ack(bench.queue.receive(max_live=6, max_backfill=0, wait_s=0))
        bench.turns(1000)
        assert (bench.waiting(), self.requeues(bench)) == (0, 1)

    def test_while_the_store_is_down_nothing_is_taken_any_more(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 6))
        bench.journal.down = {"outputs"}
        self.hold_for_long(bench)
        received = bench.journal.steps.count("queue.receive")
        bench.turns(1000)
        assert bench.journal.steps.count("queue.receive") == received

    def test_what_the_model_has_not_run_is_requeued(self, bench: ConsumerBench) -> None:
        bench.model.answer = silent
        bench.submit(*numbers(1, 6))
        bench.turns(1)
        bench.model.down, bench.model.hello = MODEL_DOWN, None
        self.hold_for_long(bench)
        assert (bench.consumer.in_flight, bench.model.held, bench.attempts()) == (0, [], [0] * 6)

    def test_a_model_that_is_back_is_tried_with_one_image(self, bench: ConsumerBench) -> None:
        bench.model.answer = silent
        bench.submit(*numbers(1, 6))
        bench.turns(1)
        bench.model.down, bench.model.hello = MODEL_DOWN, None
        self.hold_for_long(bench)
        bench.model.down, bench.model.hello = None, HELLO
        bench.turns(1000)
        assert len(bench.model.held) == 1

    def test_a_model_that_greets_and_runs_nothing_is_parked_on(self, bench: ConsumerBench) -> None:
        """Otherwise each greeting would restart the time for which it may keep what others could run."""
        bench.model.answer = silent
        bench.submit(*numbers(1, 6))
        bench.turns(1)
        for _ in range(4):
            bench.model.down, bench.model.hello = MODEL_DOWN, None
            until_s = bench.clock.now_s + 0.3 * bench.settings.park_hold_s
            bench.run_until(lambda until_s=until_s: bench.clock.now_s > until_s)  # type: ignore[misc]
            bench.model.down, bench.model.hello = None, HELLO
            bench.turns(3)
        assert self.requeues(bench) == 1

    def test_what_got_through_before_an_outage_does_not_end_it(self, bench: ConsumerBench) -> None:
        bench.submit("7")
        bench.run_until_settled()
        self.test_a_model_that_greets_and_runs_nothing_is_parked_on(bench)

    def test_images_at_a_model_that_is_up_are_waited_for(self, bench: ConsumerBench) -> None:
        bench.submit("1")
        bench.model.answer = silent
        bench.turns(1)
        bench.journal.down = {"queue.renew"}
        self.hold_for_long(bench)
        assert len(bench.model.held) == 1

    def test_a_source_that_is_down_is_probed_with_one_image(self, bench: ConsumerBench) -> None:
        bench.model.answer = not_run(DOWN)
        bench.submit(*numbers(1, 6))
        self.hold_for_long(bench)
        bench.model.seen.clear()
        bench.turns(1000)
        assert (bench.depth().leased, self.requeues(bench)) == (1, 1)
        assert {item.uri for item in bench.model.seen} == {"file:///1"}

    def test_leases_lapse_while_the_queue_is_down(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 6))
        bench.turns(1)
        bench.journal.down = {"queue"}
        self.hold_for_long(bench)
        bench.clock.now_s += bench.settings.lease_s
        assert (bench.consumer.in_flight, bench.attempts()) == (0, [0] * 6)

    @pytest.mark.parametrize("step", ["queue", "outputs", "outputs.put", "results.submit", "queue.ack"])
    def test_it_resumes_by_itself(self, bench: ConsumerBench, step: str) -> None:
        bench.submit(*numbers(1, 3))
        bench.submit(*numbers(4, 6), lane=Lane.BACKFILL)
        bench.journal.down = {step}
        self.hold_for_long(bench)
        bench.journal.down.clear()
        bench.run_until_settled()
        bench.run_until(lambda: bench.parked_on() is None)
        assert (bench.stored(), bench.dead()) == (numbers(1, 6), {})
        assert {*bench.published()} == {("result", each) for each in numbers(1, 6)}

    def test_a_store_that_reads_and_does_not_write_is_tried_with_one_image(
        self, bench: ConsumerBench
    ) -> None:
        bench.submit(*numbers(1, 6))
        bench.journal.down = {"outputs.put"}
        self.hold_for_long(bench)
        bench.turns(1000)
        assert (bench.depth().leased, bench.depth().ready) == (1, 5)

    def test_once_back_it_takes_as_much_as_ever(self, bench: ConsumerBench) -> None:
        bench.submit("1")
        bench.journal.down = {"outputs"}
        self.hold_for_long(bench)
        bench.journal.down.clear()
        bench.run_until_settled()
        bench.model.answer = silent
        bench.submit(*numbers(2, 100))
        bench.turns(20)
        assert bench.depth().leased == CREDIT

    def test_the_next_time_it_requeues_again(self, bench: ConsumerBench) -> None:
        for number in "12":
            bench.submit(number)
            bench.journal.down = {"outputs"}
            self.hold_for_long(bench)
            bench.journal.down.clear()
            bench.run_until_settled()
            bench.turns(5)
        assert self.requeues(bench) == 2

    def test_a_host_whose_probe_was_requeued_is_probed_again(self, tmp_path: Path) -> None:
        with consumer_bench(tmp_path, breaker_failures=2) as bench:
            bench.model.answer = not_run(Transient("connection_reset"))
            bench.submit("1", "2", image_uri="https://a.example/1")
            bench.run_until(lambda: bench.depth().retrying == 2)
            bench.model.answer = silent
            bench.run_until(lambda: bool(bench.model.held))
            bench.model.down, bench.model.hello = MODEL_DOWN, None
            self.hold_for_long(bench)
            bench.model.down, bench.model.hello, bench.model.answer = None, HELLO, ran
            bench.run_until_settled()
            assert bench.stored() == ["1", "2"]


class TestGuard:
    def trip(self, bench: ConsumerBench, images: int) -> None:
        """Submit images that cannot be fetched, until some wait instead of failing."""
        bench.model.answer = not_run(Rejected("not_found"))
        bench.submit(*numbers(1, images))
        bench.run_until(lambda: bench.consumer.waiting_for_source != "")

    def test_a_source_that_refuses_everything_parks_the_worker_and_few_images_are_dead(
        self, bench: ConsumerBench
    ) -> None:
        self.trip(bench, 300)
        bench.turns(300)
        assert str(bench.consumer.parked).startswith("source unavailable: the latest ")
        assert len(bench.dead()) == FAILED_AT_FIRST == 26
        assert bench.waiting() == 300 - FAILED_AT_FIRST

    def test_a_worker_that_is_started_again_and_again_fails_few_images_each_time(
        self, tmp_path: Path
    ) -> None:
        dead: list[int] = []
        for _ in range(3):
            with consumer_bench(tmp_path) as bench:
                self.trip(bench, 0 if dead else 300)
                bench.turns(50)
                bench.consumer.drain(timeout_s=25)
                dead.append(len(bench.dead()))
        assert dead == [26, 52, 78]

    def test_while_images_wait_none_is_dead_and_no_image_spends_an_attempt(
        self, bench: ConsumerBench
    ) -> None:
        self.trip(bench, 300)
        bench.turns(150)
        bench.consumer.drain(timeout_s=25)
        bench.clock.now_s += bench.settings.retry_delays_s[0]
        assert (len(bench.dead()), bench.attempts()) == (FAILED_AT_FIRST, [0] * (300 - FAILED_AT_FIRST))

    def test_good_images_behind_many_that_cannot_be_fetched_are_stored_before_any_is_tried_twice(
        self, bench: ConsumerBench
    ) -> None:
        refuse = not_run(Rejected("not_found"))
        bench.model.answer = lambda item: refuse(item) if "absent" in item.uri else ran(item)
        for number in range(1, 701):
            bench.submit(str(number), image_uri=f"file:///absent/{number}")
        bench.submit(*numbers(801, 820))
        bench.run_until(lambda: len(bench.stored()) == 20)
        tried = [item.uri for item in bench.model.seen]
        assert len(tried) == len(set(tried)) == 720
        assert len(bench.dead()) < 50

    def test_it_parks_only_when_a_whole_window_in_a_row_could_not_be_fetched(
        self, bench: ConsumerBench
    ) -> None:
        self.trip(bench, FAILED_AT_FIRST + WINDOW)
        bench.run_until(lambda: len(bench.model.seen) > 200)
        assert bench.consumer.parked is None
        bench.run_until(lambda: bench.consumer.parked is not None)
        assert "not_found 226" in str(bench.consumer.parked)

    def test_a_parked_worker_tries_twice_as_many_images_after_each_pause(self, bench: ConsumerBench) -> None:
        self.trip(bench, 900)
        tried = []
        for _ in range(3):
            bench.run_until(lambda: bench.consumer.parked is not None and not bench.model.held)
            tried.append(len(bench.model.seen))
            bench.run_until(lambda: len(bench.model.seen) > tried[-1])
        assert tried[0] >= FAILED_AT_FIRST + WINDOW
        assert tried[1] - tried[0] >= 400 - CREDIT

    def test_without_a_retry_delay_what_it_tries_is_requeued(self, tmp_path: Path) -> None:
        with consumer_bench(tmp_path, retry_delays_s=()) as bench:
            self.trip(bench, 300)
            bench.turns(150)
            bench.consumer.drain(timeout_s=25)
            assert (len(bench.dead()), bench.attempts()) == (FAILED_AT_FIRST, [0] * (300 - FAILED_AT_FIRST))

    def test_a_bad_image_at_the_head_of_the_queue_does_not_hide_that_the_source_is_back(
        self, bench: ConsumerBench
    ) -> None:
        self.trip(bench, 300)
        head = "file:///102"
        refuse = not_run(Rejected("corrupt"))
        bench.model.answer = lambda item: refuse(item) if item.uri == head else ran(item)
        bench.run_until_settled()
        assert (bench.dead()["102"].reason, len(bench.stored())) == ("corrupt", 299 - FAILED_AT_FIRST)

    def test_several_bad_images_that_are_requeued_to_the_head_of_the_queue_do_not_hide_it_either(
        self, tmp_path: Path
    ) -> None:
        with consumer_bench(tmp_path, retry_delays_s=()) as bench:
            self.trip(bench, 300)
            heads, refuse = ("file:///102", "file:///103"), not_run(Rejected("corrupt"))
            bench.model.answer = lambda item: refuse(item) if item.uri in heads else ran(item)
            bench.run_until_settled()
            assert len(bench.stored()) == 298 - FAILED_AT_FIRST

    def test_it_goes_on_as_soon_as_one_image_is_stored(self, bench: ConsumerBench) -> None:
        self.trip(bench, 300)
        bench.run_until(lambda: bench.consumer.parked is not None)
        bench.model.answer = ran
        bench.run_until_settled()
        assert (bench.parked_on(), len(bench.stored()), len(bench.dead())) == (
            None,
            300 - FAILED_AT_FIRST,
            FAILED_AT_FIRST,
        )

    def test_transient_errors_spend_no_attempt_while_images_wait(self, bench: ConsumerBench) -> None:
        self.trip(bench, 300)
        bench.model.answer = not_run(Transient("io_error"))
        bench.turns(150)
        bench.consumer.drain(timeout_s=25)
        bench.clock.now_s += bench.settings.retry_delays_s[0]
        assert (len(bench.dead()), bench.attempts()) == (FAILED_AT_FIRST, [0] * (300 - FAILED_AT_FIRST))

    def test_files_that_are_not_pictures_are_dead_and_hold_up_no_other(self, bench: ConsumerBench) -> None:
        """A folder that came from a Mac: with each photo a `._` twin, which holds no picture."""
        refuse = not_run(Rejected("not_an_image"))
        bench.model.answer = lambda item: refuse(item) if "._" in item.uri else ran(item)
        for number in range(300):
            bench.submit(str(number + 300), image_uri=f"file:///._{number}.jpg")
        bench.submit(*numbers(0, 299))
        bench.run_until_settled()
        assert (len(bench.dead()), len(bench.stored())) == (300, 300)
        assert bench.parked_on() is None

    def test_half_of_the_images_dead_does_not_park_the_worker(self, bench: ConsumerBench) -> None:
        refuse = not_run(Rejected("not_found"))
        bench.model.answer = lambda item: refuse(item) if item.id % 2 else ran(item)
        bench.submit(*numbers(1, 300))
        bench.run_until_settled()
        assert (len(bench.dead()), len(bench.stored())) == (150, 150)

    def test_a_share_of_one_never_parks(self, tmp_path: Path) -> None:
        with consumer_bench(tmp_path, dead_share=1.0) as bench:
            bench.model.answer = not_run(Rejected("not_found"))
            bench.submit(*numbers(1, 300))
            bench.run_until_settled()
            assert len(bench.dead()) == 300


def test_one_message_of_every_kind_that_the_settings_do_not_serve_parks_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**WITHOUT_CREDENTIALS, "AWS_ACCESS_KEY_ID": ""}.items():
        monkeypatch.setenv(name, value)
    source = open_originals(Settings(file_roots=(tmp_path,)))
    (tmp_path / "good.jpg").write_bytes(b"x")

    def fetch(item: Item) -> Answer:
        try:
            source.fetch(item.uri, FetchLimits(max_bytes=1000, timeout_s=5.0))
        except (Rejected, Transient, Unavailable) as error:
            return NotRun(item=item, error=error)
        return ran(item)

    with consumer_bench(tmp_path, retry_delays_s=(10.0,)) as bench:
        bench.model.answer = fetch
        # Not every one is a message: a URI has at most 4,096 characters.
        bodies = [{"image_id": kind, "image_uri": uri} for kind, uri in NOT_SERVED.items()]
        bench.queue.submit([json.dumps(body).encode() for body in bodies], Lane.LIVE)
        bench.submit(*numbers(900, 919), image_uri=f"file://{tmp_path}/good.jpg")
        bench.run_until(lambda: len(bench.stored()) == 20)
        assert bench.parked_on() is None
        tried = {item.uri for item in bench.model.seen}
        assert tried >= {uri for uri in NOT_SERVED.values() if len(uri) <= 4096}


class TestLanes:
    def test_no_more_is_taken_than_there_is_credit_for(self, bench: ConsumerBench) -> None:
        bench.model.answer = silent
        bench.submit(*numbers(1, 100))
        bench.turns(20)
        assert (len(bench.model.held), bench.depth().leased) == (CREDIT, CREDIT)

    def test_backfill_leaves_places_for_live_images(self, bench: ConsumerBench) -> None:
        bench.model.answer = silent
        bench.submit(*numbers(1, 100), lane=Lane.BACKFILL)
        bench.turns(20)
        assert len(bench.model.held) == CREDIT - BEST_BATCH
        bench.submit("200")
        bench.turns(2)
        assert [item.uri for item in bench.model.held if item.lane is Lane.LIVE] == ["file:///200"]

    def test_backfill_is_done_while_live_images_keep_coming(self, bench: ConsumerBench) -> None:
        bench.submit("1", lane=Lane.BACKFILL)
        for number in range(100, 200):
            bench.submit(*([str(number)] * 3))
            bench.turns(1)
        assert "1" in bench.stored()


class TestDraining:
    def test_what_is_in_flight_is_finished_and_nothing_new_is_taken(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 50))
        bench.turns(1)
        held = bench.depth().leased
        bench.consumer.drain(timeout_s=25)
        assert (len(bench.stored()), bench.waiting(), bench.depth().leased) == (held, 50 - held, 0)
        assert len(bench.published()) == held

    def test_what_is_not_finished_in_time_is_requeued(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 6))
        slow = {"file:///3", "file:///5"}
        bench.model.answer = lambda item: None if item.uri in slow else ran(item)
        bench.turns(1)
        began_s = bench.clock.now_s
        bench.consumer.drain(timeout_s=25)
        assert 25 <= bench.clock.now_s - began_s < 26
        assert (bench.stored(), bench.attempts()) == (["1", "2", "4", "6"], [0, 0])
        assert bench.consumer.in_flight == 0

    @pytest.mark.parametrize("reason", [DOWN, MODEL_DOWN])
    def test_a_parked_worker_requeues_at_once(self, bench: ConsumerBench, reason: Unavailable) -> None:
        bench.submit(*numbers(1, 6))
        bench.model.answer = not_run(DOWN) if reason is DOWN else silent
        bench.turns(1)
        bench.model.down = MODEL_DOWN if reason is MODEL_DOWN else None
        bench.run_until(lambda: bench.consumer.parked is not None)
        began_s = bench.clock.now_s
        bench.consumer.drain(timeout_s=25)
        assert bench.clock.now_s - began_s < 1
        assert bench.attempts() == [0] * 6

    def test_a_store_that_is_down_does_not_stop_it_from_ending_and_loses_nothing(
        self, bench: ConsumerBench
    ) -> None:
        bench.submit(*numbers(1, 6))
        bench.journal.down = {"outputs"}
        bench.run_until(lambda: bench.consumer.parked is not None)
        bench.consumer.drain(timeout_s=25)
        bench.clock.now_s += bench.settings.lease_s + 1
        assert bench.attempts() == [0] * 6

    def test_a_queue_that_is_down_does_not_stop_it_from_ending(self, bench: ConsumerBench) -> None:
        bench.submit(*numbers(1, 6))
        bench.turns(1)
        bench.journal.down = {"queue"}
        bench.consumer.drain(timeout_s=25)
        assert bench.waiting() == 6

    def test_an_idle_worker_ends_at_once(self, bench: ConsumerBench) -> None:
        began_s = bench.clock.now_s
        bench.consumer.drain(timeout_s=25)
        assert bench.clock.now_s == began_s


def test_images_reach_the_model_in_the_order_of_their_lease(bench: ConsumerBench) -> None:
    bench.submit("3", "1", "2", "0")
    bench.turns(1)
    assert [item.uri for item in bench.model.seen] == ["file:///3", "file:///1", "file:///2", "file:///0"]


def test_an_idle_worker_waits_for_the_queue_and_does_not_spin(bench: ConsumerBench) -> None:
    began_s = bench.clock.now_s
    bench.turns(20)
    assert bench.clock.now_s - began_s >= 20 * 0.24


def test_a_busy_worker_waits_for_answers_and_does_not_spin(bench: ConsumerBench) -> None:
    bench.model.answer = silent
    bench.submit("1")
    bench.turns(1)
    began_s = bench.clock.now_s
    bench.turns(100)
    assert bench.clock.now_s - began_s >= 100 * 0.019


def test_a_parked_worker_does_not_spin(bench: ConsumerBench) -> None:
    bench.journal.down = {"queue"}
    bench.turns(1)
    began_s = bench.clock.now_s
    bench.turns(100)
    assert bench.clock.now_s - began_s >= 100 * 0.09


def test_nothing_is_kept_of_images_that_are_done(bench: ConsumerBench) -> None:
    bench.submit(*numbers(1, 200))
    bench.run_until_settled()
    assert (bench.consumer.in_flight, bench.model.held) == (0, [])


def test_two_messages_of_one_image_are_two_deliveries_and_one_row(bench: ConsumerBench) -> None:
    bench.submit("1", "1")
    bench.run_until_settled()
    assert (len(bench.outputs()["1"]), bench.published()) == (1, [("result", "1")] * 2)
