"""Plots as SVG files that are legible on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.http.summary import Results

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 70, 60
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#888888")
_STYLE = """<style>
text { font: 13px sans-serif; fill: #222 }
.title { font-weight: bold; font-size: 15px }
.axis { stroke: #222 }
.grid { stroke: #bbb; stroke-width: .5 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .axis { stroke: #ddd } .grid { stroke: #555 } }
</style>"""

Series = Mapping[str, Sequence[float]]
"""Name → one value for each label of the horizontal axis; NaN where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The vertical axis: a value → its place in pixels."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float], *, logarithmic: bool) -> Scale:
        """Return a scale for values above 0: from 0, or from a power of ten below all of them."""
        high = max(values, default=1.0)
        if not logarithmic:
            return cls(low=0.0, high=high * 1.05, logarithmic=False)
        low = min(values, default=1.0)
        return cls(low=10 ** math.floor(math.log10(low)), high=high * 1.3, logarithmic=True)

    def at_px(self, value: float) -> float:
        share = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self.logarithmic
            else value / self.high
        )
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    def ticks(self) -> list[float]:
        """Return round values, about five of them or one for each power of ten."""
        if self.logarithmic:
            count = math.floor(math.log10(self.high / self.low)) + 1
            return [self.low * 10**power for power in range(count)]
        rough = self.high / 5
        unit = 10 ** math.floor(math.log10(rough))
        step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough)
        return [number * step for number in range(math.floor(self.high / step) + 1)]


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write the plots of each model, and return their files."""
    written = []
    for model, summaries in results.items():
        name = model.partition("@")[0]
        clients = sorted({clients for one in summaries.values() for clients in one.closed})
        loads = sorted({load for one in summaries.values() for load in one.open})
        by_clients = [f"{number} client{'s' if number > 1 else ''}" for number in clients]
        plots = {
            "throughput": bars(
                f"{model}: images a second, closed loop (more is better)",
                "images/s",
                by_clients,
                {
                    server: [one.closed[number]["images_per_s"] for number in clients]
                    for server, one in summaries.items()
                },
            ),
            "cpu": bars(
                f"{model}: CPU of serving, without decode and run (less is better, logarithmic)",
                "ms an image",
                by_clients,
                {
                    server: [one.closed[number]["serving_ms"] for number in clients]
                    for server, one in summaries.items()
                },
                logarithmic=True,
            ),
        }
        if loads:
            latencies = {
                server: [one.open[load]["p99_ms"] for load in loads] for server, one in summaries.items()
            }
            plots["latency"] = bars(
                f"{model}: p99 of right answers, open loop (less is better, logarithmic)",
                "ms",
                [f"{load:.0%} of its capacity" for load in loads],
                latencies,
                logarithmic=True,
            )
        for kind, svg in plots.items():
            path = folder / f"http-{name}-{kind}.svg"
            path.write_text(svg, "utf-8")
            written.append(path)
    return written


def bars(title: str, unit: str, labels: Sequence[str], series: Series, *, logarithmic: bool = False) -> str:
    """Return a chart of bars, grouped by label, with each bar's value above it."""
    values = [value for row in series.values() for value in row if math.isfinite(value) and value > 0]
    scale = Scale.of(values, logarithmic=logarithmic)
    parts = [_head(title), *_axis(scale, unit)]
    group_px = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    bar_px = group_px * 0.86 / max(len(series), 1)
    for group, label in enumerate(labels):
        start_px = LEFT + group * group_px + group_px * 0.07
        parts.append(_text(start_px + group_px * 0.43, HEIGHT - BOTTOM + 20, label, "middle"))
        for place, row in enumerate(series.values()):
            value = row[group]
            if not (math.isfinite(value) and value > 0):
                continue
            x_px, y_px = start_px + place * bar_px, scale.at_px(value)
            parts.append(
                f'<rect x="{x_px:.1f}" y="{y_px:.1f}" width="{bar_px * 0.92:.1f}"'
                f' height="{HEIGHT - BOTTOM - y_px:.1f}" fill="{COLOURS[place % len(COLOURS)]}"/>'
            )
            parts.append(_text(x_px + bar_px * 0.46, y_px - 4, _short(value), "middle", size_px=10))
    parts += _legend(list(series))
    return "\n".join([*parts, "</svg>\n"])


def _head(title: str) -> str:
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">\n'
        f"{_STYLE}\n" + f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>'
    )


def _axis(scale: Scale, unit: str) -> list[str]:
    bottom_px = HEIGHT - BOTTOM
    parts = [f'<text x="8" y="{TOP - 8}">{escape(unit)}</text>']
    for tick in scale.ticks():
        y_px = scale.at_px(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_px:.1f}" y2="{y_px:.1f}"/>')
        parts.append(_text(LEFT - 6, y_px + 4, _short(tick), "end"))
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom_px}" y2="{bottom_px}"/>')
    return parts


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    step_px = (WIDTH - LEFT - RIGHT) / max(len(names), 1)
    for place, name in enumerate(names):
        x_px = LEFT + place * step_px
        colour = COLOURS[place % len(COLOURS)]
        parts.append(f'<rect x="{x_px:.1f}" y="{HEIGHT - 24}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x_px + 17, HEIGHT - 13, name, "start"))
    return parts


def _text(x_px: float, y_px: float, text: str, anchor: str, *, size_px: int = 13) -> str:
    style = f' style="font-size:{size_px}px"' if size_px != 13 else ""
    return f'<text x="{x_px:.1f}" y="{y_px:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
