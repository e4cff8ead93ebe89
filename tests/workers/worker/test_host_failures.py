"""A host of originals that is down: its images wait and spend no attempt, and others go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.messages import ImageMessage, Lane, encode
from panopticon.scheduling.items import Answer, Item
from tests.workers.worker.consumer_bench import ConsumerBench, consumer_bench, not_run, ran

RESET = not_run(Transient("connection_reset"))
DOWN = not_run(Unavailable("source", "Connection refused"))
FAILURES = 10
RETRY_DELAY_S = 10.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ConsumerBench]:
    with consumer_bench(tmp_path, retry_delays_s=(RETRY_DELAY_S, 60.0), breaker_failures=FAILURES) as made:
        yield made


def submit(bench: ConsumerBench, host: str, first: int, last: int) -> None:
    """Submit numbered images of this host."""
    messages = [
        ImageMessage(image_id=str(number), image_uri=f"https://{host}/{number}")
        for number in range(first, last + 1)
    ]
    bench.queue.submit([encode(message) for message in messages], Lane.LIVE)


def failing(host: str, failure: Callable[[Item], Answer] = RESET) -> Callable[[Item], Answer]:
    """This host fails, all others answer."""
    return lambda item: failure(item) if item.uri.startswith(f"https://{host}/") else ran(item)


def wait(bench: ConsumerBench, seconds: float) -> None:
    until_s = bench.clock.now_s + seconds
    bench.run_until(lambda: bench.clock.now_s >= until_s)


def test_after_many_failures_in_a_row_its_images_wait_and_none_has_spent_an_attempt(
    bench: ConsumerBench,
) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, 30)
    bench.run_until(lambda: bench.depth().retrying == 30)
    bench.clock.now_s += RETRY_DELAY_S
    assert (bench.attempts(), bench.dead()) == ([0] * 30, {})


def test_while_it_is_down_it_is_asked_seldom(bench: ConsumerBench) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, 30)
    bench.run_until(lambda: bench.depth().retrying == 30)
    bench.model.seen.clear()
    wait(bench, 200)
    assert 200 / 20 - 4 <= len(bench.model.seen) <= 200 / 4


def test_images_of_other_hosts_go_on(bench: ConsumerBench) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, 30)
    submit(bench, "b", 31, 60)
    begun_s = bench.clock.now_s
    bench.run_until(lambda: len(bench.stored()) == 30)
    assert bench.clock.now_s - begun_s < RETRY_DELAY_S
    assert bench.parked_on() is None


def test_when_it_is_back_all_its_images_are_stored_and_none_has_spent_an_attempt(
    bench: ConsumerBench,
) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, 30)
    wait(bench, 300)
    bench.model.answer = ran
    bench.run_until_settled()
    assert (len(bench.stored()), bench.dead()) == (30, {})
    get = bench.metrics.registry.get_sample_value
    retried = {"model": "colour@1", "reason": "connection_reset"}
    assert get("panopticon_images_retried_total", retried) is None


def test_a_bad_image_of_a_host_that_answers_others_spends_its_attempts(bench: ConsumerBench) -> None:
    bench.model.answer = lambda item: RESET(item) if item.uri.endswith("/7") else ran(item)
    submit(bench, "a", 1, 30)
    bench.run_until_settled()
    failure = bench.dead()["7"]
    assert (failure.reason, failure.attempts, len(bench.stored())) == ("connection_reset", 2, 29)


def test_a_few_bad_images_alone_at_a_host_spend_their_attempts_too(bench: ConsumerBench) -> None:
    """Too few to take their host down, and without another answer of it, they are at fault themselves."""
    bench.model.answer = RESET
    submit(bench, "a", 1, FAILURES - 1)
    bench.run_until_settled()
    assert len(bench.dead()) == FAILURES - 1


def test_missing_images_do_not_take_a_host_down(bench: ConsumerBench) -> None:
    bench.model.answer = not_run(Transient("not_found", "a answered 404"))
    submit(bench, "a", 1, 2 * FAILURES)
    bench.run_until_settled()
    assert Counter(failure.reason for failure in bench.dead().values()) == {"not_found": 2 * FAILURES}


def test_an_image_that_is_rejected_shows_that_its_host_answers(bench: ConsumerBench) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, 30)
    bench.run_until(lambda: bench.depth().retrying == 30)
    bench.model.answer = not_run(Rejected("corrupt"))
    bench.run_until_settled()
    assert len(bench.dead()) == 30


def test_fetches_cut_off_as_the_source_went_down_spend_no_attempt(bench: ConsumerBench) -> None:
    """A server that is killed cuts off what it was sending, and refuses what comes next."""
    answers = iter([RESET] * 4)
    bench.model.answer = lambda item: next(answers, DOWN)(item)
    submit(bench, "a", 1, 10)
    bench.run_until(lambda: bench.consumer.parked is not None)
    wait(bench, 30)
    bench.model.answer = ran
    bench.run_until_settled()
    assert (len(bench.stored()), bench.dead()) == (10, {})
    get = bench.metrics.registry.get_sample_value
    retried = {"model": "colour@1", "reason": "connection_reset"}
    assert get("panopticon_images_retried_total", retried) is None


def test_an_undecided_image_stays_in_flight_when_its_source_goes_down(bench: ConsumerBench) -> None:
    bench.model.answer = lambda item: (RESET if item.uri.endswith("/1") else DOWN)(item)
    submit(bench, "a", 1, 2)
    bench.run_until(lambda: bench.consumer.parked is not None)
    assert (bench.consumer.in_flight, bench.depth().leased) == (2, 2)


def test_a_host_whose_probe_found_the_source_down_is_probed_again(tmp_path: Path) -> None:
    with consumer_bench(tmp_path, retry_delays_s=(RETRY_DELAY_S,), breaker_failures=2) as bench:
        bench.model.answer = RESET
        submit(bench, "a", 1, 2)
        bench.run_until(lambda: bench.depth().retrying == 2)
        bench.model.answer = DOWN
        bench.run_until(lambda: bench.consumer.parked is not None)
        bench.model.answer = ran
        bench.run_until_settled()
        assert bench.stored() == ["1", "2"]


def test_after_images_of_hosts_that_are_down_alone_nothing_is_taken_for_a_moment(
    bench: ConsumerBench,
) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, FAILURES)
    bench.run_until(lambda: bench.depth().retrying == FAILURES)
    submit(bench, "a", 31, 31)
    bench.run_until(lambda: bench.depth().ready == 0)
    bench.journal.steps.clear()
    bench.turns(1)
    assert "queue.receive" not in bench.journal.steps


def test_leases_of_undecided_failures_are_renewed_and_they_are_requeued_at_the_end(
    bench: ConsumerBench,
) -> None:
    bench.model.answer = lambda item: RESET(item) if item.uri.endswith("/1") else None
    submit(bench, "a", 1, 3)
    for _ in range(4):
        wait(bench, 50)
    assert (bench.depth().leased, bench.consumer.in_flight) == (3, 3)
    bench.consumer.drain(timeout_s=0)
    assert (bench.consumer.in_flight, bench.attempts()) == (0, [0, 0, 0])


def test_a_worker_that_meets_only_hosts_that_are_down_does_not_spin(bench: ConsumerBench) -> None:
    bench.model.answer = failing("a")
    submit(bench, "a", 1, 200)
    bench.run_until(lambda: bench.depth().retrying > 100)
    bench.journal.steps.clear()
    begun_s = bench.clock.now_s
    wait(bench, 5)
    received = bench.journal.steps.count("queue.receive")
    assert received <= (bench.clock.now_s - begun_s) / 0.1 + 1


def test_images_that_fail_alone_at_their_host_are_dead_once_the_setting_says_that_it_is_up(
    tmp_path: Path,
) -> None:
    with consumer_bench(tmp_path, retry_delays_s=(RETRY_DELAY_S, 60.0), breaker_failures=1_000_000) as bench:
        bench.model.answer = failing("a", not_run(Transient("http_500")))
        submit(bench, "a", 1, 2 * FAILURES)
        bench.run_until_settled()
        assert {failure.attempts for failure in bench.dead().values()} == {2}
        assert len(bench.dead()) == 2 * FAILURES


def test_without_retry_delays_no_host_is_ever_down(tmp_path: Path) -> None:
    with consumer_bench(tmp_path, retry_delays_s=(), dead_share=1) as bench:
        bench.model.answer = RESET
        submit(bench, "a", 1, 30)
        bench.run_until_settled()
        assert len(bench.dead()) == 30


def test_a_host_whose_probe_fails_while_too_many_images_are_dead_is_probed_again(tmp_path: Path) -> None:
    missing = not_run(Rejected("not_found"))

    def asked(bench: ConsumerBench) -> bool:
        return any(item.uri.startswith("https://a/") for item in bench.model.seen)

    with consumer_bench(tmp_path, retry_delays_s=(RETRY_DELAY_S,), breaker_failures=2) as bench:
        bench.model.answer = lambda item: (RESET if item.uri.startswith("https://a/") else missing)(item)
        submit(bench, "a", 1, 2)
        bench.run_until(lambda: bench.depth().retrying == 2)
        submit(bench, "b", 100, 300)
        bench.run_until(lambda: str(bench.consumer.parked).startswith("source unavailable: the latest"))
        bench.model.seen.clear()
        bench.run_until(lambda: asked(bench))
        bench.turns(3)
        bench.model.answer = ran
        bench.run_until(lambda: {"1", "2"} <= set(bench.stored()))
