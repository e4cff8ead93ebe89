"""A comparison of two versions, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from panopticon.registry.activation import Limits, passed_by
from workers.cli.formatting import counted, table
from workers.comparison.versions import Report
from workers.runtime.terminal_text import printable

WORST_SHOWN = 5

MEANINGS = {
    "coverage": "of the documents with the old version's part, the share that have the new one's",
    "agreement": "share of images with the same best tag",
    "jaccard": "mean likeness of the sets of tags",
    "ks": "greatest distance between the distributions of one score",
    "waiting": "messages on the results queue",
}


def report_shown(report: Report, limits: Limits) -> RenderableType:
    """Figures, tags or scores, the images that differ most, and what is to be done next."""
    whole = report.whole
    parts: list[RenderableType] = [Text(headline(whole), style="bold")]
    parts += [Text(line, style="yellow") for line in remarks(whole)]
    for shown in _tables(whole, limits):
        parts += ["", shown]
    return Group(*parts, "", *_conclusions(report, limits))


def headline(whole: Mapping[str, Any]) -> str:
    """`tagger@1 → tagger@2: 998 of 1,000 images compared`."""
    asked = counted(whole["asked"], "image")
    return f"{whole['former']['name']} → {whole['version']['name']}: {whole['images']:,} of {asked} compared"


def remarks(whole: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know before believing the figures."""
    for reason, images in whole["left_out"].items():
        yield f"{counted(images, 'image')} left out: {reason}"
    if not whole["drawn_from_all"]:
        yield f"Drawn from the first {whole['drawn_from']:,} IDs in search only; name others with --ids"
    for way in ("lost", "gained") if whole["scores"] else ():
        if names := whole["scores"][way]:
            yield f"Scores {way}: {', '.join(map(printable, names))}"


def figure_rows(whole: Mapping[str, Any], limits: Limits) -> Iterator[tuple[str, str, str, bool, str]]:
    """Name, value, limit, whether that is kept, and what it means."""
    bounds = {
        "coverage": (limits.min_coverage, "at least"),
        "agreement": (limits.min_agreement, "at least"),
        "jaccard": (limits.min_jaccard, "at least"),
        "ks": (limits.max_ks, "at most"),
        "waiting": (limits.max_waiting, "at most"),
    }
    for name, value in whole["figures"].items():
        limit, word = bounds[name]
        kept = value >= limit if word == "at least" else value <= limit
        yield name, number(value), f"{word} {number(limit)}", kept, MEANINGS[name]


def number(value: float) -> str:
    """Whole numbers whole; others with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _tables(whole: Mapping[str, Any], limits: Limits) -> Iterator[Table]:
    yield _figures(whole, limits)
    for way in ("lost", "gained") if whole["tags"] else ():
        if whole["tags"][way]:
            yield _tags(whole["tags"], way)
    if whole["scores"]:
        yield _scores(whole["scores"]["shifts"])
    if whole["worst"]:
        yield _worst(whole)


def _figures(whole: Mapping[str, Any], limits: Limits) -> Table:
    shown = table("figure", right=("value", "limit"), flowing=("is",))
    for name, value, limit, kept, meaning in figure_rows(whole, limits):
        shown.add_row(name, Text(value, style="" if kept else "red"), limit, Text(meaning, style="dim"))
    return shown


def _tags(tags: Mapping[str, Any], way: str) -> Table:
    shown = table(f"tag {way}", right=("images",))
    for one in tags[way]:
        shown.add_row(Text(printable(one["tag"])), f"{one['images']:,}")
    return shown


def _scores(shifts: list[Mapping[str, Any]]) -> Table:
    shown = table("score", right=("mean", "p50", "p95", "shift of mean", "ks", "p"))
    for shift in shifts:
        before, after = shift["before"], shift["after"]
        spans = [f"{number(before[key])} → {number(after[key])}" for key in ("mean", "p50", "p95")]
        moved = f"{after['mean'] - before['mean']:+.4g}"
        ends = (f"{shift['ks']:.3f}", f"{shift['p_value']:.2g}")
        shown.add_row(Text(printable(shift["score"])), *spans, moved, *ends)
    return shown


def _worst(whole: Mapping[str, Any]) -> Table:
    names = (whole["former"]["name"], whole["version"]["name"])
    shown = table("differs most", flowing=names)
    for one in whole["worst"][:WORST_SHOWN]:
        shown.add_row(Text(printable(one["image_id"])), _said(one["before"]), _said(one["after"]))
    return shown


def _said(numbers: Mapping[str, float]) -> Text:
    return Text(
        ", ".join(f"{printable(name)} {value:.3g}" for name, value in numbers.items()) or "no tag",
        style="" if numbers else "dim",
    )


def _conclusions(report: Report, limits: Limits) -> Iterator[Text]:
    passed = passed_by(report.record, limits)
    for line in passed:
        yield Text(f"Limit passed: {line}", style="red")
    if not passed:
        yield Text(
            f"Within every limit. Next: panopticon models activate {report.whole['version']['name']}",
            style="green",
        )
