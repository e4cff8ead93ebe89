import numpy as np
import pytest
from PIL import Image

from panopticon.images.depth import eight_bit_grey, to_eight_bits, white_of

FLOAT_WHITES = (1.0, 255.0, 65535.0)


def spread(low: float, high: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.linspace(low, high, 10_000, dtype=np.float32)


@pytest.mark.parametrize(
    ("value", "dtype", "white", "expected"),
    [
        (255, "u1", 255, 255),
        (255, "u1", 510, 128),
        (65535, "u2", 65535, 255),
        (30000, "u2", 65535, 117),
        (2048, "u2", 4095, 128),
        (2**31, "u4", 2**32 - 1, 128),
        (-5, "i2", 32767, 0),
        (0.5, "f4", 1, 128),
        (7.0, "f4", 1, 255),
        (-1.0, "f4", 1, 0),
        (np.nan, "f4", 1, 0),
        (np.inf, "f4", 1, 255),
        (-np.inf, "f4", 1, 0),
    ],
)
def test_numbers_are_scaled_to_eight_bits(value: float, dtype: str, white: float, expected: int) -> None:
    (scaled,) = to_eight_bits(np.array([value], dtype=dtype), white)
    assert scaled == expected
    assert scaled.dtype == np.uint8


def test_samples_of_eight_bits_are_not_copied() -> None:
    samples = np.arange(256, dtype=np.uint8)
    assert to_eight_bits(samples, 255) is samples


@pytest.mark.parametrize(
    ("low", "high", "white"),
    [(0, 1, 1.0), (0, 0.1, 1.0), (0, 255, 255.0), (0, 270, 255.0), (0, 90, 255.0), (0, 60_000, 65535.0)],
)
def test_white_is_found_from_the_range(low: float, high: float, white: float) -> None:
    assert white_of([spread(low, high)], FLOAT_WHITES) == white


@pytest.mark.parametrize(("low", "high"), [(0, 10), (0, 80), (0, 300), (0, 4095), (0, 16_383), (0, 1e9)])
def test_a_range_that_fits_no_white_has_none(low: float, high: float) -> None:
    assert white_of([spread(low, high)], FLOAT_WHITES) is None


def test_white_is_derived_from_all_bands_together() -> None:
    assert white_of([spread(0, 1), *[spread(0, 250)] * 9], FLOAT_WHITES) == 255.0


@pytest.mark.parametrize("odd", [4.0, 300.0, 1e30, np.inf, np.nan, -1e9])
def test_a_few_odd_values_do_not_change_white(odd: float) -> None:
    values = spread(0, 1)
    values[:9] = odd
    assert white_of([values], FLOAT_WHITES) == 1.0


def test_a_bright_sky_in_hdr_does_not_change_white() -> None:
    assert white_of([spread(0, 1), spread(4, 8)[::2]], FLOAT_WHITES, highlights=32) == 1.0


def test_a_dark_ground_does_not_change_white() -> None:
    background = np.zeros(20_000, dtype=np.float32)
    assert white_of([background, spread(0, 250)], FLOAT_WHITES, highlights=32) == 255.0


def test_it_is_unknown_whether_values_are_highlights_or_of_another_range() -> None:
    assert white_of([spread(0, 1), spread(100, 200)[::2]], FLOAT_WHITES, highlights=32) is None


@pytest.mark.parametrize(("brighter", "white"), [(95, 1.0), (105, None)])
def test_up_to_a_tenth_of_the_samples_may_be_brighter_than_white(brighter: int, white: float | None) -> None:
    samples = np.array([0.5] * (1000 - brighter) + [1000.0] * brighter)
    assert white_of([samples], FLOAT_WHITES) == white


@pytest.mark.parametrize(
    ("dark", "sky", "white"),
    [(505, 32.0, 1.0), (505, 33.0, None), (505, 250.0, None), (495, 250.0, 255.0)],
    ids=["highlights", "too bright for highlights", "half a picture of highlights", "half is not enough"],
)
def test_highlights_take_up_to_half_of_a_picture(dark: int, sky: float, white: float | None) -> None:
    samples = np.array([1.0] * dark + [sky] * (1000 - dark))
    assert white_of([samples], FLOAT_WHITES, highlights=32) == white


def test_without_highlights_no_large_part_is_brighter_than_white() -> None:
    assert white_of([np.array([1.0] * 505 + [1.5] * 495)], FLOAT_WHITES) is None


def test_black_alone_fits_any_white() -> None:
    assert white_of([np.zeros(9)], FLOAT_WHITES) == 1.0


def test_white_is_found_from_a_part_of_many_values() -> None:
    assert white_of([np.linspace(0, 250, 3_000_000)], FLOAT_WHITES) == 255.0


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bit_grey_becomes_eight_bits(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panopticon.images.depth._STRIP_PX", 999)
    deep = np.arange(1 << 16, dtype=np.uint16).reshape(1024, 64)
    grey = eight_bit_grey(Image.fromarray(deep.astype(dtype)))
    assert grey.mode == "L"
    assert np.array_equal(np.asarray(grey), np.rint(deep / 257))


def test_an_image_of_eight_bits_is_left_as_it_is() -> None:
    image = Image.new("RGB", (2, 2))
    assert eight_bit_grey(image) is image
