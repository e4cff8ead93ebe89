"""The failure policy: the outcome of an image that was not run."""

from __future__ import annotations

import pytest

from panopticon.errors import Rejected, Transient
from panopticon.results.outputs import FailureState
from panopticon.scheduling.guard import WINDOW
from tests.workers.worker.images import leased
from workers.worker.failure_policy import FailurePolicy
from workers.worker.outcomes import Dead, Requeued, Retried

AT_MS = 1_700_000_000_000
CORRUPT = Rejected("corrupt", "bad marker")
IO_ERROR = Transient("io_error", "EIO")


def policy(*retry_delays_s: float, max_dead_share: float = 0.5) -> FailurePolicy:
    return FailurePolicy(retry_delays_s=retry_delays_s, max_dead_share=max_dead_share)


def tripped(*retry_delays_s: float) -> FailurePolicy:
    made = policy(*retry_delays_s)
    while not made.guard_tripped:
        made.outcome(leased(), CORRUPT, at_ms=AT_MS)
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
    def test_it_trips_when_more_than_the_share_of_the_latest_images_are_dead(self) -> None:
        made = policy(10)
        dead = 0
        while not made.guard_tripped:
            made.outcome(leased(), CORRUPT, at_ms=AT_MS)
            dead += 1
        assert dead == WINDOW // 2 + 1

    def test_retried_images_do_not_trip_it(self) -> None:
        made = policy(10)
        for _ in range(2 * WINDOW):
            made.outcome(leased(), IO_ERROR, at_ms=AT_MS)
        assert not made.guard_tripped

    @pytest.mark.parametrize("error", [CORRUPT, IO_ERROR])
    def test_while_it_is_tripped_no_image_is_dead_and_none_spends_an_attempt(
        self, error: Rejected | Transient
    ) -> None:
        image = leased(attempt=1)
        assert tripped(10, 60).outcome(image, error, at_ms=AT_MS) == Retried(
            delivery=image.delivery, message=image.message, delay_s=10, reason="probe", spend_attempt=False
        )

    def test_without_a_retry_delay_the_image_is_requeued_meanwhile(self) -> None:
        image = leased()
        assert tripped().outcome(image, CORRUPT, at_ms=AT_MS) == Requeued(delivery=image.delivery)

    def test_one_image_that_is_stored_resets_it(self) -> None:
        made = tripped(10)
        made.ran()
        assert not made.guard_tripped
        assert isinstance(made.outcome(leased(), CORRUPT, at_ms=AT_MS), Dead)
        assert not made.guard_tripped

    def test_stored_images_keep_it_from_tripping(self) -> None:
        made = policy(10)
        for _ in range(2 * WINDOW):
            made.outcome(leased(), CORRUPT, at_ms=AT_MS)
            made.ran()
        assert not made.guard_tripped

    def test_a_share_of_one_never_trips_it(self) -> None:
        made = policy(10, max_dead_share=1)
        for _ in range(2 * WINDOW):
            made.outcome(leased(), CORRUPT, at_ms=AT_MS)
        assert not made.guard_tripped

    def test_the_reason_to_park_names_the_latest_failure(self) -> None:
        reason = tripped(10).too_many_dead(Rejected("not_found"))
        assert reason.component == "source"
        assert reason.reason == "too many of the last 200 images were dead, the latest by 'not_found'"
