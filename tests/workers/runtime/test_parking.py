"""A pause that grows, ends by itself, and can be seen."""

from __future__ import annotations

import logging

import pytest

from panopticon.errors import Unavailable
from panopticon.metrics import Metrics
from tests.workers.queues.fake_clock import FakeClock
from workers.runtime.parking import FIRST_PAUSE_S, Parking

STORE = Unavailable("store", "refused")
QUEUE = Unavailable("queue", "refused")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def parking(clock: FakeClock, metrics: Metrics) -> Parking:
    return Parking(max_s=8.0, clock=clock.monotonic, metrics=metrics)


def pause_s(parking: Parking, clock: FakeClock) -> float:
    began_s = clock.now_s
    while parking.waiting:
        clock.now_s += 0.01
    return clock.now_s - began_s


def value(metrics: Metrics, name: str, part: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"part": part})


def test_at_first_nothing_is_parked(parking: Parking) -> None:
    assert (parking.waiting, parking.reason) == (False, None)


def test_a_pause_ends_by_itself_but_the_reason_stays_until_it_is_back(
    parking: Parking, clock: FakeClock
) -> None:
    parking.park(STORE)
    assert parking.waiting
    assert FIRST_PAUSE_S / 2 <= pause_s(parking, clock) <= FIRST_PAUSE_S + 0.02
    assert parking.reason is STORE
    parking.resume()
    assert parking.reason is None


def test_each_pause_is_longer_up_to_the_longest(parking: Parking, clock: FakeClock) -> None:
    pauses = []
    for _ in range(8):
        parking.park(STORE)
        pauses.append(pause_s(parking, clock))
    assert pauses[0] <= 0.5 + 0.02
    assert all(4 - 0.02 <= pause <= 8 + 0.02 for pause in pauses[4:])


def test_many_failures_at_once_are_one_pause(parking: Parking, clock: FakeClock, metrics: Metrics) -> None:
    for _ in range(100):
        parking.park(STORE)
    assert pause_s(parking, clock) <= FIRST_PAUSE_S + 0.02
    assert value(metrics, "panopticon_park_total", "store") == 1


def test_an_outage_of_many_pauses_counts_as_one_parking(
    parking: Parking, clock: FakeClock, metrics: Metrics
) -> None:
    for _ in range(8):
        parking.park(STORE)
        pause_s(parking, clock)
    assert value(metrics, "panopticon_park_total", "store") == 1
    parking.resume()
    parking.park(STORE)
    assert value(metrics, "panopticon_park_total", "store") == 2


def test_another_component_that_is_down_becomes_the_reason_at_once(parking: Parking) -> None:
    parking.park(STORE)
    parking.park(QUEUE)
    assert parking.reason is QUEUE


def test_after_it_was_back_the_first_pause_is_short_again(parking: Parking, clock: FakeClock) -> None:
    for _ in range(5):
        parking.park(STORE)
        pause_s(parking, clock)
    parking.resume()
    parking.park(STORE)
    assert pause_s(parking, clock) <= FIRST_PAUSE_S + 0.02


def test_a_long_outage_is_reported_once(parking: Parking, clock: FakeClock) -> None:
    assert not parking.report_long_outage_once(60)
    for _ in range(2):
        parking.park(STORE)
        clock.now_s += 59
        parking.park(QUEUE)
        assert not parking.report_long_outage_once(60)
        clock.now_s += 1
        assert [parking.report_long_outage_once(60) for _ in range(3)] == [True, False, False]
        parking.resume()


def test_the_metrics_show_what_is_parked(parking: Parking, metrics: Metrics) -> None:
    parking.park(STORE)
    parking.park(QUEUE)
    assert value(metrics, "panopticon_parked", "store") == 0
    assert value(metrics, "panopticon_parked", "queue") == 1
    parking.resume()
    assert value(metrics, "panopticon_parked", "queue") == 0


def test_it_is_logged_once_and_so_is_the_end(
    parking: Parking, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        parking.park(STORE)
        pause_s(parking, clock)
    parking.resume()
    parking.resume()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "parked: store unavailable: refused",
        "resumed: store is back",
    ]
