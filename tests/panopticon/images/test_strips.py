import pytest

from panopticon.images.strips import strips


@pytest.mark.parametrize(
    ("size_px", "most_px", "edges"),
    [
        ((4, 5), 8, [(0, 0, 4, 2), (0, 2, 4, 4), (0, 4, 4, 5)]),
        ((4, 4), 11, [(0, 0, 4, 2), (0, 2, 4, 4)]),
        ((4, 2), 3, [(0, 0, 4, 1), (0, 1, 4, 2)]),
        ((4, 3), 100, [(0, 0, 4, 3)]),
    ],
    ids=["a short last strip", "whole rows", "at least a row", "all at once"],
)
def test_strips_cover_the_image_without_more_pixels_than_allowed(
    size_px: tuple[int, int], most_px: int, edges: list[tuple[int, int, int, int]]
) -> None:
    assert list(strips(size_px, most_px)) == edges
