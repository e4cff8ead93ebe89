"""The failure policy: the outcome of an image that was not run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import storage.originals
from panopticon.errors import Rejected, Transient
from panopticon.results.failure_reasons import may_befall_every_image
from panopticon.results.outputs import FailureState
from panopticon.scheduling.guard import LEAST, WINDOW
from storage.originals import files
from tests.workers.worker.images import leased
from workers.worker.failure_policy import FailurePolicy
from workers.worker.outcomes import Dead, Requeued, Retried

AT_MS = 1_700_000_000_000
CORRUPT = Rejected("corrupt", "bad marker")
MISSING = Rejected("not_found", "No such file")
IO_ERROR = Transient("io_error", "EIO")


def policy(*retry_delays_s: float, max_dead_share: float = 0.5) -> FailurePolicy:
    return FailurePolicy(retry_delays_s=retry_delays_s, max_dead_share=max_dead_share)


def tripped(*retry_delays_s: float) -> FailurePolicy:
    made = policy(*retry_delays_s)
    while not made.guard_tripped:
        made.outcome(leased(), MISSING, at_ms=AT_MS)
    return made


def test_a_rejected_image_is_dead_and_its_failure_keeps_the_message_and_the_attempts() -> None:
    outcome = policy(10, 60).outcome(leased("7", attempt=1), CORRUPT, at_ms=AT_MS)
    assert isinstance(outcome, Dead)
    failure = outcome.failure
    assert (failure.key, failure.state) == (leased("7").key, FailureState.DEAD)
    assert (failure.reason, failure.detail) == ("corrupt", "bad marker")
    assert (failure.attempts, failure.last_at_ms, failure.message) == (1, AT_MS, b"7")


@pytest.mark.parametrize(("attempt", "delay_s"), [(0, 10), (1, 60)])
def test_a_transient_error_spends_an_attempt_on_the_next_delay(attempt: int, delay_s: float) -> None:
    image = leased(attempt=attempt)
    assert policy(10, 60).outcome(image, IO_ERROR, at_ms=AT_MS) == Retried(
        delivery=image.delivery,
        message=image.message,
        delay_s=delay_s,
        reason="io_error",
        detail=IO_ERROR.detail,
        spend_attempt=True,
    )


@pytest.mark.parametrize("delays_s", [(10, 60), ()])
def test_after_the_last_delay_the_image_is_dead(delays_s: tuple[float, ...]) -> None:
    image = leased(attempt=len(delays_s))
    outcome = policy(*delays_s).outcome(image, IO_ERROR, at_ms=AT_MS)
    assert isinstance(outcome, Dead)
    assert outcome.failure.reason == "io_error"


def test_an_image_whose_host_is_down_waits_and_spends_no_attempt() -> None:
    image = leased(attempt=1)
    assert policy(10, 60).host_down(image) == Retried(
        delivery=image.delivery, message=image.message, delay_s=10, reason="host_down", spend_attempt=False
    )


class TestGuard:
    def test_a_worker_that_has_seen_no_success_fails_few_images(self) -> None:
        made = policy(10)
        dead = 0
        while not made.guard_tripped:
            made.outcome(leased(), MISSING, at_ms=AT_MS)
            dead += 1
        assert dead == LEAST // 2 + 1 == 26

    def test_after_many_successes_it_trips_when_more_than_the_share_of_the_latest_images_are_dead(
        self,
    ) -> None:
        made = policy(10)
        for _ in range(WINDOW):
            made.fetched()
        dead = 0
        while not made.guard_tripped:
            made.outcome(leased(), MISSING, at_ms=AT_MS)
            dead += 1
        assert dead == WINDOW // 2 + 1

    def test_retried_images_do_not_trip_it(self) -> None:
        made = policy(10)
        for _ in range(2 * WINDOW):
            made.outcome(leased(), IO_ERROR, at_ms=AT_MS)
        assert not made.guard_tripped

    @pytest.mark.parametrize(
        "reason", ["corrupt", "not_an_image", "too_many_bytes", "truncated", "killed_process"]
    )
    def test_pictures_that_were_fetched_and_are_bad_never_trip_it(self, reason: str) -> None:
        made = policy(10)
        for _ in range(2 * WINDOW):
            outcome = made.outcome(leased(), Rejected(reason), at_ms=AT_MS)
            assert isinstance(outcome, Dead)
        assert not made.guard_tripped

    @pytest.mark.parametrize(
        "reason", ["not_found", "no_uri", "bucket_not_allowed", "http_402", "not_finite"]
    )
    def test_failures_that_may_befall_every_image_trip_it(self, reason: str) -> None:
        made = policy(10)
        for _ in range(LEAST):
            made.outcome(leased(), Rejected(reason), at_ms=AT_MS)
        assert made.guard_tripped

    @pytest.mark.parametrize("error", [MISSING, IO_ERROR])
    def test_while_it_is_tripped_no_image_is_dead_and_none_spends_an_attempt(
        self, error: Rejected | Transient
    ) -> None:
        image = leased(attempt=1)
        assert tripped(10, 60).outcome(image, error, at_ms=AT_MS) == Retried(
            delivery=image.delivery, message=image.message, delay_s=10, reason="probe", spend_attempt=False
        )

    def test_while_it_is_tripped_a_bad_picture_is_dead_and_shows_that_the_source_works(self) -> None:
        made = tripped(10)
        assert isinstance(made.outcome(leased(), CORRUPT, at_ms=AT_MS), Dead)
        assert made.waiting_for_source == ""

    def test_without_a_retry_delay_the_image_is_requeued_meanwhile(self) -> None:
        image = leased()
        assert tripped().outcome(image, MISSING, at_ms=AT_MS) == Requeued(delivery=image.delivery)

    def test_each_success_lets_one_more_image_fail(self) -> None:
        made = tripped(10)
        for _ in range(LEAST):
            made.fetched()
        assert not made.guard_tripped
        dead = [isinstance(made.outcome(leased(), MISSING, at_ms=AT_MS), Dead) for _ in range(100)]
        assert sum(dead) == LEAST - 26 + 1

    def test_stored_images_keep_it_from_tripping(self) -> None:
        made = policy(10)
        for _ in range(2 * WINDOW):
            made.outcome(leased(), MISSING, at_ms=AT_MS)
            made.fetched()
        assert not made.guard_tripped

    def test_a_share_of_one_never_trips_it(self) -> None:
        made = policy(10, max_dead_share=1)
        for _ in range(2 * WINDOW):
            made.outcome(leased(), MISSING, at_ms=AT_MS)
        assert not made.guard_tripped
        assert (made.waiting_for_source, made.take_pause()) == ("", None)

    def test_the_reason_to_pause_names_what_was_seen_an_example_and_the_way_out(self) -> None:
        made = tripped(10)
        while (reason := made.take_pause()) is None:
            made.outcome(leased("a\u202eb"), MISSING, at_ms=AT_MS)
        assert (reason.component, reason.reason) == (
            "source",
            "the latest 226 images could not be fetched (not_found 226; last 'a\\u202eb': not_found: "
            "No such file): correct the settings originals, file_roots, private_hosts or s3_buckets, or "
            "what they name; if these images are gone for good, start the worker with --set dead_share=1",
        )
        assert made.take_pause() is None


def test_every_reason_of_a_source_is_known_to_the_guard() -> None:
    """A new one that is missing there would let a wrong source fail a whole catalogue."""
    sources = [path.read_text() for path in Path(storage.originals.__file__).parent.glob("*.py")]
    calls = "|".join(["Rejected", "Transient", "Unreachable"])
    raised = {name for text in sources for name in re.findall(rf'(?:{calls})\)?\(\s*"(\w+)"', text)}
    raised |= set(files._REASONS.values())
    about_pictures = {"too_many_bytes"}
    assert len(raised) >= 20
    assert {name for name in raised if not may_befall_every_image(name)} == about_pictures
