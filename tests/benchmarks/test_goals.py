"""The goals of the comparison."""

from __future__ import annotations

import math

from benchmarks.http.contestants import OURS
from benchmarks.http.measuring import Closed, Open, Round
from benchmarks.http.open_loop import OpenLoop
from benchmarks.http.summary import NULL, TAGGER, Goal, goals, summarise, table


def a_round(*, images_per_s: float, cpu_ms: float, goodput_per_s: float = 100.0) -> Round:
    closed = Closed(images_per_s=images_per_s, p50_ms=10, p99_ms=12, failed=0, cpu_ms=cpu_ms, steps_ms=0.5)
    figures = OpenLoop(
        offered_per_s=200,
        goodput_per_s=goodput_per_s,
        answered_per_s=100,
        p50_ms=10,
        p99_ms=20,
        refusals={"429": 7},
        with_retry_after=7,
        refusal_p99_ms=3,
        wrong=0,
        unanswered=0,
        generator_late_p99_ms=0.1,
    )
    run = Open(figures=figures, service_ms=10, ideal_p50_ms=10, ideal_p99_ms=16)
    return Round(
        start_s=1,
        closed={1: closed, 8: closed, 64: closed},
        open={0.8: run, 2.0: run},
        memory_mb=1,
        processes=1,
    )


def reached(model: str, **servers: Round) -> dict[str, Goal]:
    return {
        goal.text: goal for goal in goals({model: {name: summarise([one]) for name, one in servers.items()}})
    }


def test_a_lost_comparison_is_reported_as_missed() -> None:
    ours, theirs = a_round(images_per_s=90, cpu_ms=1), a_round(images_per_s=100, cpu_ms=1)
    goal = reached(TAGGER, **{OURS: ours, "mosec": theirs})["tagger: images a second, of those of mosec"]
    assert not goal.is_met
    assert str(goal).startswith("MISSED")


def test_cpu_is_compared_at_the_cheapest_load_of_each_server() -> None:
    found = reached(
        NULL,
        **{OURS: a_round(images_per_s=1, cpu_ms=1.0), "mosec": a_round(images_per_s=1, cpu_ms=1.0)},
        litserve=a_round(images_per_s=1, cpu_ms=3.0),
    )
    assert [goal.is_met for goal in found.values()] == [True, False]
    assert math.isclose(list(found.values())[1].value, 1 / 3)


def test_every_goal_of_the_real_model_is_answered() -> None:
    found = reached(
        TAGGER, **{OURS: a_round(images_per_s=104, cpu_ms=1), "mosec": a_round(images_per_s=100, cpu_ms=1)}
    )
    assert [goal.is_met for goal in found.values()] == [True, True, False, False, True, True]


def test_a_figure_that_is_missing_meets_no_goal() -> None:
    goal = Goal(text="a", limit=1, at_least=False, value=math.nan)
    assert not goal.is_met
    assert str(goal).startswith("not measured")


def test_a_summary_takes_the_median_of_rounds_and_counts_all_refusals() -> None:
    rounds = [a_round(images_per_s=rate, cpu_ms=1) for rate in (90, 100, 130)]
    summary = summarise(rounds)
    assert (summary.capacity_per_s, summary.refusals) == (100, {"429": 21})
    assert "100.0" in table(NULL, {OURS: summary}, {})
