import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from panopticon.images import scaling
from panopticon.images.scaling import FINE_STEPS, central_square, coarse_factor, draft_size, resized
from tests import pictures

SIDES = st.integers(min_value=1, max_value=20_000)
CROPS = st.floats(min_value=0.01, max_value=1.0)


@given(st.tuples(SIDES, SIDES), CROPS)
def test_the_square_lies_inside_the_image_and_in_its_middle(size_px: tuple[int, int], crop: float) -> None:
    square = central_square(size_px, crop)
    left, top, right, bottom = square.bounds()
    assert 0 <= left < right <= size_px[0]
    assert 0 <= top < bottom <= size_px[1]
    assert square.left_px * 2 + square.side_px == pytest.approx(size_px[0])
    assert square.top_px * 2 + square.side_px == pytest.approx(size_px[1])


@given(SIDES, st.integers(min_value=1, max_value=4096))
def test_averaging_leaves_the_filter_enough_pixels(side_px: int, target_px: int) -> None:
    factor = coarse_factor(side_px, target_px)
    assert factor == 1 or side_px / factor >= FINE_STEPS * target_px


@given(st.tuples(SIDES, SIDES), st.integers(min_value=1, max_value=40))
def test_a_draft_never_scales_by_more_than_was_asked(size_px: tuple[int, int], factor: int) -> None:
    asked = draft_size(size_px, factor)
    if asked:
        fits = min(size_px[0] // asked[0], size_px[1] // asked[1])
        assert max(power for power in (1, 2, 4, 8) if power <= fits) <= factor


@pytest.mark.parametrize(("factor", "scale"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (30, 8)])
def test_a_draft_scales_by_the_largest_power_of_two_that_fits(factor: int, scale: int) -> None:
    with Image.open(io.BytesIO(pictures.encoded(pictures.photo(1003, 777), "JPEG"))) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        asked = draft_size(image.size, factor)
        if asked:
            image.draft(None, asked)
        assert image.size == (-(-1003 // scale), -(-777 // scale))


@pytest.mark.parametrize("size_px", [(1000, 700), (700, 1000), (333, 332), (5, 4), (1, 1), (64, 4000)])
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.1])
def test_averaging_in_strips_equals_averaging_at_once(
    size_px: tuple[int, int], crop: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pictures.photo(*size_px)
    square = central_square(size_px, crop)
    whole = resized(image, square, (16, 16), filter_name="bicubic")
    monkeypatch.setattr(scaling, "_STRIP_PX", 1500)
    assert whole.tobytes() == resized(image, square, (16, 16), filter_name="bicubic").tobytes()


@pytest.mark.parametrize("factor", [1, 4])
def test_no_more_than_a_strip_is_copied_at_a_time(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    strips: list[Image.Image] = []

    def copied(strip: Image.Image) -> Image.Image:
        strips.append(strip)
        return strip

    monkeypatch.setattr(scaling, "additive", copied)
    monkeypatch.setattr(scaling, "_STRIP_PX", 8_000)
    target_px = 200 // (factor * FINE_STEPS)
    resized(pictures.photo(200, 200), central_square((200, 200), 1.0), (target_px,) * 2, filter_name="box")
    assert [strip.height for strip in strips] == [40] * 5


def test_a_square_is_scaled_as_if_it_had_been_cut_out() -> None:
    image = pictures.photo(400, 300)
    cut = image.crop((100, 50, 300, 250)).resize((64, 64), Image.Resampling.BICUBIC)
    square = central_square((400, 300), 200 / 300)
    assert cut.tobytes() == resized(image, square, (64, 64), filter_name="bicubic").tobytes()


def test_each_filter_of_a_card_gives_a_different_result() -> None:
    image, square = pictures.photo(100, 100), central_square((100, 100), 1.0)
    results = {
        resized(image, square, (64, 64), filter_name=name).tobytes()
        for name in ("bicubic", "bilinear", "lanczos", "box")
    }
    assert len(results) == 4
