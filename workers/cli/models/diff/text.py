"""A comparison of two versions, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from panopticon.registry.activation import Limits, exceeded_by
from panopticon.registry.comparison import ScoreShift, TagCount
from workers.cli.formatting import counted, table
from workers.comparison.report import Report
from workers.runtime.terminal_text import printable

WORST_SHOWN = 5

MEANINGS = {
    "coverage": "share of the documents with the old version's part that have the new one's too",
    "agreement": "share of images with the same best tag",
    "jaccard": "mean similarity of the two sets of tags of an image",
    "ks": "greatest distance between the distributions of one score",
    "waiting": "messages on the results queue",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure of a report as it is printed, with its limit."""

    name: str
    value: str
    limit: str
    within: bool
    """False if the limit is exceeded."""
    meaning: str


def report_shown(report: Report, limits: Limits) -> RenderableType:
    """Return figures, tags or scores, the images that differ most, and the next step."""
    parts: list[RenderableType] = [Text(headline(report), style="bold")]
    parts += [Text(line, style="yellow") for line in remarks(report)]
    for shown in _tables(report, limits):
        parts += ["", shown]
    exceeded = exceeded_by(report.record, limits)
    parts += ["", *(Text(f"Limit exceeded: {line}", style="red") for line in exceeded)]
    if not exceeded:
        next_ = f"panopticon models activate {report.version.name}"
        parts.append(Text(f"Within every limit. Next: {next_}", style="green"))
    return Group(*parts)


def headline(report: Report) -> str:
    """Return a line such as `tagger@1 → tagger@2: 998 of 1,000 images compared`."""
    selected = counted(len(report.selection.image_ids), "image")
    return f"{report.former.name} → {report.version.name}: {report.images:,} of {selected} compared"


def remarks(report: Report) -> Iterator[str]:
    """Yield one line for each thing that a reader must know before trusting the figures."""
    for reason, images in report.left_out.items():
        yield f"{counted(images, 'image')} left out: {reason}"
    selection = report.selection
    if not selection.drawn_from_all:
        yield f"Drawn from the first {selection.drawn_from:,} IDs in search only; name others with --ids"
    if report.scores is not None:
        for change, names in (("lost", report.scores.lost), ("gained", report.scores.gained)):
            if names:
                yield f"Scores {change}: {', '.join(map(printable, names))}"


def figure_rows(report: Report, limits: Limits) -> Iterator[FigureRow]:
    """Yield the figures that the report has, in the order of its JSON."""
    bounds = limits.bounds
    for name, value in report.figures.items():
        bound = bounds[name]
        yield FigureRow(
            name=name,
            value=number(value),
            limit=f"{bound.word} {number(bound.value)}",
            within=bound.allows(value),
            meaning=MEANINGS[name],
        )


def number(value: float) -> str:
    """Format integers in full, and other numbers with four significant digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _tables(report: Report, limits: Limits) -> Iterator[Table]:
    figures = table("figure", right=("value", "limit"), flowing=("is",))
    for row in figure_rows(report, limits):
        value = Text(row.value, style="" if row.within else "red")
        figures.add_row(row.name, value, row.limit, Text(row.meaning, style="dim"))
    yield figures
    if report.tags is not None:
        for change, counts in (("lost", report.tags.lost), ("gained", report.tags.gained)):
            if counts:
                yield _tags_table(change, counts)
    if report.scores is not None:
        yield _scores_table(report.scores.shifts)
    if report.worst:
        worst = table("differs most", flowing=(str(report.former.name), str(report.version.name)))
        for one in report.worst[:WORST_SHOWN]:
            worst.add_row(Text(printable(one.image_id)), _values(one.before), _values(one.after))
        yield worst


def _tags_table(change: str, counts: Sequence[TagCount]) -> Table:
    shown = table(f"tag {change}", right=("images",))
    for count in counts:
        shown.add_row(Text(printable(count.tag)), f"{count.images:,}")
    return shown


def _scores_table(shifts: Sequence[ScoreShift]) -> Table:
    shown = table("score", right=("mean", "p50", "p95", "shift of mean", "ks", "p"))
    for shift in shifts:
        before, after = shift.before, shift.after
        shown.add_row(
            Text(printable(shift.score)),
            f"{number(before.mean)} → {number(after.mean)}",
            f"{number(before.p50)} → {number(after.p50)}",
            f"{number(before.p95)} → {number(after.p95)}",
            f"{after.mean - before.mean:+.4g}",
            f"{shift.ks:.3f}",
            f"{shift.p_value:.2g}",
        )
    return shown


def _values(values: Mapping[str, float]) -> Text:
    texts = (f"{printable(name)} {value:.3g}" for name, value in values.items())
    return Text(", ".join(texts)) if values else Text("no tag", style="dim")
