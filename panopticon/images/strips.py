"""Cutting an image into strips, so that what is made of each takes little memory."""

from __future__ import annotations

from collections.abc import Iterator


def strips(size_px: tuple[int, int], most_px: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the edges (left, top, right, bottom) of strips of at most `most_px` pixels, at least one row."""
    width_px, height_px = size_px
    rows = max(1, most_px // width_px)
    for top in range(0, height_px, rows):
        yield 0, top, width_px, min(top + rows, height_px)
