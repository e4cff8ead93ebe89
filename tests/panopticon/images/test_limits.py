"""An image at a limit is decoded, and one beyond it is rejected with the limit in its message."""

from __future__ import annotations

import pytest

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits, check_pixels, check_work


def test_the_defaults_are_64_mib_and_100_megapixels() -> None:
    assert (DecodeLimits().max_bytes, DecodeLimits().max_pixels) == (67_108_864, 100_000_000)


@pytest.mark.parametrize("size_px", [(0, 5), (5, 0), (-1, 5), (5, -1)])
def test_an_image_without_pixels_is_rejected(size_px: tuple[int, int]) -> None:
    with pytest.raises(Rejected, match="zero_size"):
        check_pixels(*size_px, 100)


@pytest.mark.parametrize(
    ("size_px", "factor", "limit"),
    [
        ((101, 1), 1, "at most 100 (setting max_pixels)"),
        ((1, 401), 4, "at most 400 (4 × setting max_pixels)"),
    ],
)
def test_the_limit_of_pixels_is_named(size_px: tuple[int, int], factor: int, limit: str) -> None:
    check_pixels(10, 10 * factor, 100, factor=factor)
    with pytest.raises(Rejected) as raised:
        check_pixels(*size_px, 100, factor=factor)
    assert raised.value.reason == "too_many_pixels"
    assert raised.value.detail == f"{size_px[0]} x {size_px[1]} pixels; {limit}"


@pytest.mark.parametrize(("size_px", "most"), [((10, 10), 32), ((5, 10), 64)])
def test_a_smaller_image_may_take_more_passes(size_px: tuple[int, int], most: int) -> None:
    check_work(size_px, passes=most, max_pixels=100)
    with pytest.raises(Rejected, match="too_costly"):
        check_work(size_px, passes=most + 1, max_pixels=100)
