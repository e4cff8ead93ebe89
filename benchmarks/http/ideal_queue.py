"""Poisson arrivals, and the ideal queue M/D/c: one line, `c` servers, the same service time for each."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np


def poisson_arrivals(*, per_s: float, seconds: float, seed: int) -> list[float]:
    """Return the times of arrivals, from 0 on. With one seed, another rate only stretches the time."""
    random = np.random.default_rng(seed)
    gaps = random.exponential(1.0, size=int(per_s * seconds * 1.5) + 100)
    times = np.cumsum(gaps) / per_s
    arrivals: list[float] = times[times < seconds].tolist()
    return arrivals


def ideal_latencies(arrivals: Sequence[float], *, service_s: float, servers: int) -> list[float]:
    """Return the seconds from each arrival to its answer, first come, first served."""
    free_at = [0.0] * servers
    latencies = []
    for arrival in arrivals:
        done = max(arrival, free_at[0]) + service_s
        heapq.heapreplace(free_at, done)
        latencies.append(done - arrival)
    return latencies


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that this share of the values does not exceed; NaN if there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
