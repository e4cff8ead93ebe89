"""Charts as SVG."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from benchmarks.http.plots import Scale, bars

RECT = "{http://www.w3.org/2000/svg}rect"


def rectangles(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(RECT))


def test_a_chart_has_a_bar_for_each_value_and_a_square_for_each_name() -> None:
    svg = bars("a <title>", "ms", ["one", "two"], {"x": [1.0, 2.0], "y": [3.0, math.nan]})
    assert len(rectangles(svg)) == 3 + 2


def test_a_bar_of_twice_the_value_is_twice_as_high() -> None:
    low, high = rectangles(bars("t", "ms", ["one", "two"], {"x": [1.0, 2.0]}))[:2]
    assert math.isclose(2 * float(low.attrib["height"]), float(high.attrib["height"]), rel_tol=0.01)


def test_ticks_are_round_and_stay_within_the_scale() -> None:
    assert Scale.of([12.0, 430.0], logarithmic=False).ticks() == [0, 100, 200, 300, 400]
    assert Scale.of([0.3, 40.0], logarithmic=True).ticks() == [0.1, 1, 10]
