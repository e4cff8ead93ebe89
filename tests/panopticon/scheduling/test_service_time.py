from __future__ import annotations

import pytest

from panopticon.scheduling.service_time import ServiceTime


def test_nothing_is_known_before_the_first_answer() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    assert service.seconds is None
    assert service.wait_s(10) == 0


def test_the_first_answer_is_the_first_estimate() -> None:
    service = ServiceTime()
    service.began(now_s=10)
    service.answered(1, busy=False, now_s=10.25)
    assert service.seconds == pytest.approx(0.25)
    assert service.wait_s(4) == pytest.approx(1.0)


def test_a_batch_is_shared_by_its_images() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.answered(8, busy=False, now_s=2)
    assert service.seconds == pytest.approx(0.25)


def test_time_in_which_nothing_was_asked_does_not_count() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.answered(1, busy=False, now_s=0.1)
    service.began(now_s=1000)
    service.answered(1, busy=False, now_s=1000.1)
    assert service.seconds == pytest.approx(0.1)


def test_while_others_wait_the_time_since_the_last_answer_counts() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.answered(1, busy=True, now_s=0.1)
    # The second began while the first ran, so it took the process only this much more.
    service.answered(1, busy=False, now_s=0.2)
    assert service.seconds == pytest.approx(0.1)


def test_the_estimate_follows_a_model_that_becomes_slower() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.answered(1, busy=True, now_s=0.1)
    now_s = 0.1
    for _ in range(60):
        now_s += 0.4
        service.answered(1, busy=True, now_s=now_s)
    assert service.seconds == pytest.approx(0.4, rel=0.01)


def test_an_end_without_an_answer_measures_nothing() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.answered(0, busy=False, now_s=50)
    assert service.seconds is None


def test_a_look_without_answers_takes_no_time_from_the_image_that_runs() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.answered(0, busy=True, now_s=0.9)
    service.answered(1, busy=False, now_s=1.0)
    assert service.seconds == pytest.approx(1.0)


def test_the_time_until_a_process_is_back_is_not_measured() -> None:
    service = ServiceTime()
    service.began(now_s=0)
    service.interrupted()
    service.began(now_s=10)
    service.answered(1, busy=False, now_s=11)
    assert service.seconds == 1
