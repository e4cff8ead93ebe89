"""The ideal queue, against what is known of it."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest

from benchmarks.http.ideal_queue import ideal_latencies, percentile, poisson_arrivals


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_mean_wait_of_one_server_is_that_of_the_formula(load: float) -> None:
    service_s = 0.01
    arrivals = poisson_arrivals(per_s=load / service_s, seconds=4000, seed=7)
    waits = [latency - service_s for latency in ideal_latencies(arrivals, service_s=service_s, servers=1)]
    # Pollaczek and Khinchine, for a service time that does not vary.
    expected_s = load * service_s / (2 * (1 - load))
    assert statistics.fmean(waits) == pytest.approx(expected_s, rel=0.03)


def test_two_servers_work_at_the_same_time_and_a_third_arrival_waits_for_the_first_that_is_free() -> None:
    assert ideal_latencies([0.0, 0.5, 0.6], service_s=1.0, servers=2) == pytest.approx([1.0, 1.0, 1.4])


def test_an_arrival_at_an_empty_queue_takes_the_service_time() -> None:
    assert ideal_latencies([0.0, 10.0], service_s=0.25, servers=1) == [0.25, 0.25]


def test_arrivals_come_at_their_rate_and_their_gaps_vary_as_those_of_poisson() -> None:
    arrivals = poisson_arrivals(per_s=200, seconds=500, seed=3)
    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    assert len(arrivals) == pytest.approx(100_000, rel=0.01)
    assert arrivals[-1] < 500
    assert statistics.stdev(gaps) == pytest.approx(statistics.fmean(gaps), rel=0.01)


def test_one_seed_gives_the_same_pattern_at_every_rate() -> None:
    slow = poisson_arrivals(per_s=10, seconds=10, seed=1)
    fast = poisson_arrivals(per_s=20, seconds=5, seed=1)
    assert fast == pytest.approx([time / 2 for time in slow])


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (0.0, 1.0)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == value


def test_the_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 0.99))
