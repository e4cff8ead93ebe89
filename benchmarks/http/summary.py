"""Medians over rounds, and the goals that they meet or miss."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.http.contestants import OURS
from benchmarks.http.measuring import Closed, Open, Round

NULL, TAGGER = "null@1", "tagger@1"
CLOSED_FIGURES: Mapping[str, Callable[[Closed], float]] = {
    "images_per_s": lambda closed: closed.images_per_s,
    "p50_ms": lambda closed: closed.p50_ms,
    "p99_ms": lambda closed: closed.p99_ms,
    "failed": lambda closed: closed.failed,
    "cpu_ms": lambda closed: closed.cpu_ms,
    "decode_and_run_ms": lambda closed: closed.steps_ms,
    "serving_ms": lambda closed: closed.serving_ms,
    "p99_by_p50": lambda closed: closed.p99_ms / closed.p50_ms if closed.p50_ms else math.nan,
}
OPEN_FIGURES: Mapping[str, Callable[[Open], float]] = {
    "offered_per_s": lambda run: run.figures.offered_per_s,
    "goodput_per_s": lambda run: run.figures.goodput_per_s,
    "answered_per_s": lambda run: run.figures.answered_per_s,
    "p50_ms": lambda run: run.figures.p50_ms,
    "p99_ms": lambda run: run.figures.p99_ms,
    "ideal_p50_ms": lambda run: run.ideal_p50_ms,
    "ideal_p99_ms": lambda run: run.ideal_p99_ms,
    "p99_by_ideal": lambda run: run.figures.p99_ms / run.ideal_p99_ms,
    "refused": lambda run: sum(run.figures.refusals.values()),
    "with_retry_after": lambda run: run.figures.with_retry_after,
    "refusal_p99_ms": lambda run: run.figures.refusal_p99_ms,
    "wrong": lambda run: run.figures.wrong,
    "unanswered": lambda run: run.figures.unanswered,
    "generator_late_p99_ms": lambda run: run.figures.generator_late_p99_ms,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Medians of one server with one model."""

    capacity_per_s: float
    memory_mb: float
    processes: float
    start_s: float
    closed: Mapping[int, Mapping[str, float]]
    """Clients → figures."""
    open: Mapping[float, Mapping[str, float]]
    """Share of the capacity → figures."""
    goodput_by_capacity: float
    """At the greatest load, the median of each round's own ratio."""
    refusals: Mapping[str, int]
    """At the greatest load, over all rounds: status → requests."""


Results = Mapping[str, Mapping[str, Summary]]
"""Model → server → medians."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal, and what was measured."""

    text: str
    limit: float
    at_least: bool
    value: float
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Compare; a figure that is missing meets no goal."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        word = "not measured" if math.isnan(self.value) else ("met" if self.is_met else "MISSED")
        return f"{word:12}  {self.text}: {self.value:.3g} (goal {sign} {self.limit:g}){self.note}"


def summarise(rounds: Sequence[Round]) -> Summary:
    """Return the medians of these rounds of one server."""
    loads = sorted({load for one in rounds for load in one.open})
    last = loads[-1] if loads else math.nan
    greatest = [one.open[last].figures for one in rounds if last in one.open]
    statuses = sorted({status for figures in greatest for status in figures.refusals})
    return Summary(
        capacity_per_s=statistics.median(one.capacity_per_s for one in rounds),
        memory_mb=statistics.median(one.memory_mb for one in rounds),
        processes=statistics.median(one.processes for one in rounds),
        start_s=statistics.median(one.start_s for one in rounds),
        closed={
            clients: {
                name: statistics.median(figure(one.closed[clients]) for one in rounds)
                for name, figure in CLOSED_FIGURES.items()
            }
            for clients in rounds[0].closed
        },
        open={
            load: {
                name: statistics.median(figure(one.open[load]) for one in rounds)
                for name, figure in OPEN_FIGURES.items()
            }
            for load in loads
        },
        goodput_by_capacity=statistics.median(
            one.open[last].figures.goodput_per_s / one.capacity_per_s for one in rounds
        )
        if loads
        else math.nan,
        refusals={
            status: sum(figures.refusals.get(status, 0) for figures in greatest) for status in statuses
        },
    )


def goals(results: Results) -> Iterator[Goal]:
    """Yield every goal that these results can answer."""
    null, tagger = results.get(NULL, {}), results.get(TAGGER, {})
    if OURS in null:
        yield from _null_goals(null)
    if OURS in tagger:
        yield from _tagger_goals(tagger)


def _null_goals(null: Mapping[str, Summary]) -> Iterator[Goal]:
    for peer, limit in (("mosec", 1.1), ("litserve", 0.3)):
        if peer not in null:
            continue
        ours, theirs = _cheapest(null[OURS], "cpu_ms"), _cheapest(null[peer], "cpu_ms")
        net = _cheapest(null[OURS], "serving_ms") / _cheapest(null[peer], "serving_ms")
        yield Goal(
            text=f"null model: CPU a request, of that of {peer}",
            limit=limit,
            at_least=False,
            value=ours / theirs,
            note=f"; {ours:.3f} and {theirs:.3f} ms; without decode and run {net:.3g}",
        )


def _tagger_goals(tagger: Mapping[str, Summary]) -> Iterator[Goal]:
    ours = tagger[OURS]
    if "mosec" in tagger:
        yield Goal(
            text="tagger: images a second, of those of mosec",
            limit=0.97,
            at_least=True,
            value=ours.capacity_per_s / tagger["mosec"].capacity_per_s,
            note=f"; {ours.capacity_per_s:.1f} and {tagger['mosec'].capacity_per_s:.1f}",
        )
    yield Goal(
        text="tagger, 8 clients: p99 / p50", limit=1.3, at_least=False, value=ours.closed[8]["p99_by_p50"]
    )
    yield Goal(
        text="tagger, 8 clients: CPU of HTTP and coordination, ms an image",
        limit=0.4,
        at_least=False,
        value=ours.closed[8]["serving_ms"],
    )
    if not ours.open:
        return
    first, last = ours.open[min(ours.open)], ours.open[max(ours.open)]
    yield Goal(
        text="tagger, open loop at 80 %: p99, of that of an ideal M/D/c queue",
        limit=1.15,
        at_least=False,
        value=first["p99_by_ideal"],
        note=f"; {first['p99_ms']:.1f} and {first['ideal_p99_ms']:.1f} ms",
    )
    yield Goal(
        text="tagger, open loop at 200 %: goodput, of the maximum",
        limit=0.95,
        at_least=True,
        value=ours.goodput_by_capacity,
    )
    yield Goal(
        text="tagger, open loop at 200 %: p99 of refusals, ms",
        limit=10,
        at_least=False,
        value=last["refusal_p99_ms"],
        note=f"; {_statuses(ours)}",
    )


def _cheapest(summary: Summary, figure: str) -> float:
    """Return the least cost over the numbers of clients, which is that of a busy server."""
    return min(figures[figure] for figures in summary.closed.values())


def _statuses(summary: Summary) -> str:
    return ", ".join(f"{count} × {status}" for status, count in summary.refusals.items()) or "none refused"


def table(model: str, summaries: Mapping[str, Summary], settings: Mapping[str, str]) -> str:
    """Return the figures of one model as text, a block of lines for each server."""
    lines = [
        f"{model}",
        f"  {'server':12}{'load':>12}{'images/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>8}"
        f"{'serving':>9}  what else",
    ]
    for name, summary in summaries.items():
        for clients, figures in summary.closed.items():
            failed = f"  {figures['failed']:g} failed" if figures["failed"] else ""
            lines.append(
                f"  {name:12}{f'{clients} clients':>12}{figures['images_per_s']:10.1f}"
                f"{figures['p50_ms']:9.1f}{figures['p99_ms']:9.1f}{figures['cpu_ms']:8.3f}"
                f"{figures['serving_ms']:9.3f}{failed}"
            )
        for load, figures in summary.open.items():
            else_ = [f"ideal p99 {figures['ideal_p99_ms']:.1f} ms"]
            else_ += _refused(figures)
            else_ += [f"{figures[key]:g} {key}" for key in ("wrong", "unanswered") if figures[key]]
            lines.append(
                f"  {name:12}{f'{load:.0%} open':>12}{figures['goodput_per_s']:10.1f}"
                f"{figures['p50_ms']:9.1f}{figures['p99_ms']:9.1f}{'':17}  {', '.join(else_)}"
            )
        lines.append(
            f"  {name:12}{summary.memory_mb:.0f} MB in {summary.processes:g} processes,"
            f" ready after {summary.start_s:.1f} s; {settings.get(name, '')}; refusals at the greatest load:"
            f" {_statuses(summary)}"
        )
    return "\n".join(lines)


def _refused(figures: Mapping[str, float]) -> list[str]:
    if not figures["refused"]:
        return []
    with_header = figures["with_retry_after"] / figures["refused"]
    return [
        f"{figures['refused']:g} refused, p99 {figures['refusal_p99_ms']:.1f} ms,"
        f" Retry-After on {with_header:.0%}"
    ]
