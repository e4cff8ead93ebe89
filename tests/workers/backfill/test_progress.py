"""Rate and remaining time are computed from two readings, on a clock that the test sets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panopticon.results.backfills import Backfill, BackfillState
from tests.contracts.backfills import backfill
from tests.contracts.examples import NOON_MS
from workers.backfill.progress import Recent, eta_s, ids_per_s


def snapshot(seconds: float, cursor: int, **fields: object) -> Backfill:
    """Return the reading of a list of 10,000 IDs at this time after its start."""
    at = {"heartbeat_at_ms": NOON_MS + round(seconds * 1000), "cursor": cursor, "total": 10_000}
    return replace(backfill(), **{**at, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("per_s", [0.5, 7.0, 1000.0])
def test_at_a_constant_rate_the_time_left_is_right_at_every_moment(per_s: float) -> None:
    recent = Recent(window_ms=30_000)
    whole_s = 10_000 / per_s
    for seconds in (whole_s * step / 40 for step in range(41)):
        now = snapshot(seconds, round(seconds * per_s))
        rate = ids_per_s(recent.add(now), now)
        if seconds:
            assert rate == pytest.approx(per_s, rel=0.01)
            assert eta_s(now, rate) == pytest.approx(whole_s - seconds, rel=0.01, abs=0.1)


def test_after_a_window_the_rate_is_the_new_one() -> None:
    recent = Recent(window_ms=30_000)
    cursors = [100 * second for second in range(60)] + [6000 + 10 * second for second in range(61)]
    rates = []
    for second, cursor in enumerate(cursors):
        now = snapshot(second, cursor)
        rates.append(ids_per_s(recent.add(now), now))
    assert rates[59] == pytest.approx(100)
    assert rates[90:] == pytest.approx([10.0] * 31)
    assert eta_s(now, rates[-1]) == pytest.approx((10_000 - 6600) / 10)


def test_one_reading_gives_no_rate_and_no_time_left() -> None:
    now = snapshot(5, 100)
    assert (ids_per_s(None, now), ids_per_s(now, now), eta_s(now, None)) == (None, None, None)


def test_a_standstill_has_a_rate_of_0_and_no_time_left() -> None:
    assert ids_per_s(snapshot(0, 100), snapshot(10, 100)) == 0
    assert eta_s(snapshot(10, 100), 0.0) is None


def test_a_paused_backfill_has_no_rate() -> None:
    paused = snapshot(10, 200, state=BackfillState.PAUSED)
    assert ids_per_s(snapshot(0, 100), paused) is None


def test_a_reading_from_before_a_restart_does_not_count() -> None:
    assert ids_per_s(snapshot(0, 9000, begun_at_ms=1), snapshot(10, 100)) is None


def test_no_time_is_left_once_the_backfill_has_ended_or_outgrown_its_total() -> None:
    assert eta_s(snapshot(10, 200, state=BackfillState.CANCELLED), 5.0) is None
    assert eta_s(snapshot(10, 10_500), 5.0) == 0
