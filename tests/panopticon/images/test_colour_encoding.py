"""Expected values are published ones: sRGB's primaries in Display P3, and reference levels of BT.2408."""

import numpy as np
import pytest
from PIL import Image

from panopticon.errors import Rejected
from panopticon.images.colour import Encoding, encoding_of, to_rgb
from panopticon.images.colour.encoding import SRGB, Primaries


def shown(colour: tuple[int, ...], encoding: Encoding, mode: str = "RGB") -> tuple[int, ...]:
    """Return the sRGB colour of a picture of one colour."""
    pixel = to_rgb(Image.new(mode, (2, 2), colour), None, encoding).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def test_the_encoding_of_srgb_changes_no_byte() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(noise), None, Encoding())), noise)
    assert encoding_of(1, 13).is_srgb()


@pytest.mark.parametrize("code_point", [0, 2, 3])
def test_what_is_unspecified_is_srgb(code_point: int) -> None:
    assert encoding_of(code_point, code_point).is_srgb()


@pytest.mark.parametrize(
    ("in_p3", "in_srgb"),
    [
        ((234, 51, 35), (255, 0, 0)),
        ((117, 251, 76), (0, 255, 0)),
        ((0, 0, 245), (0, 0, 255)),
        ((128, 128, 128), (128, 128, 128)),
        ((255, 255, 255), (255, 255, 255)),
    ],
)
def test_display_p3_is_converted(in_p3: tuple[int, ...], in_srgb: tuple[int, ...]) -> None:
    assert shown(in_p3, encoding_of(12, 13)) == pytest.approx(in_srgb, abs=3)


@pytest.mark.parametrize(
    ("in_rec_2020", "in_srgb"),
    [((207, 74, 35), (255, 0, 0)), ((155, 246, 84), (0, 255, 0)), ((59, 27, 243), (0, 0, 255))],
)
def test_rec_2020_is_converted(in_rec_2020: tuple[int, ...], in_srgb: tuple[int, ...]) -> None:
    assert shown(in_rec_2020, encoding_of(9, 13)) == pytest.approx(in_srgb, abs=12)


def test_colours_that_srgb_cannot_show_are_clipped() -> None:
    assert shown((0, 255, 0), encoding_of(12, 13)) == (0, 255, 0)


@pytest.mark.parametrize(
    ("transfer_characteristics", "code", "expected"),
    [
        (16, 148, 255),  # 58 % of PQ is 203 cd/m²
        (16, 255, 255),  # 10,000 cd/m²
        (16, 0, 0),
        (16, 97, 100),  # 38 % of PQ is a grey card of 26 cd/m²
        (18, 191, 255),  # 75 % of HLG is 203 cd/m²
        (18, 97, 100),  # 38 % of HLG too
        (18, 150, 168),
        (18, 255, 255),
        (18, 0, 0),
        (8, 55, 127),
        (4, 128, 129),
        (1, 99, 99),
        (6, 99, 99),
        (14, 99, 99),
        (15, 99, 99),
        (5, 128, 106),
        (17, 255, 255),
        (17, 128, 118),
    ],
)
def test_grey_is_as_bright_as_its_transfer_function_makes_it(
    transfer_characteristics: int, code: int, expected: int
) -> None:
    encoding = encoding_of(9, transfer_characteristics)
    assert shown((code,) * 3, encoding) == pytest.approx((expected,) * 3, abs=2)
    assert shown((code,), encoding, "L") == shown((code,) * 3, encoding)


def test_every_grey_of_the_same_curve_stays_the_same_grey() -> None:
    greys = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    assert to_rgb(greys, None, encoding_of(12, 13)).tobytes() == greys.tobytes()


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 11, 12, 22])
def test_white_is_white_whatever_the_white_point(primaries: int) -> None:
    assert shown((255, 255, 255), encoding_of(primaries, 13)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("primaries", "red", "green", "blue"),
    [
        (4, (208, 86, 86), (0, 177, 83), (76, 100, 184)),
        (5, (183, 90, 90), (83, 180, 92), (90, 90, 179)),
        (6, (176, 93, 90), (97, 178, 89), (91, 92, 180)),
        (7, (176, 93, 90), (97, 178, 89), (91, 92, 180)),
        (8, (200, 82, 87), (0, 184, 80), (89, 87, 185)),
        (9, (216, 68, 87), (0, 188, 73), (78, 89, 187)),
        (11, (190, 84, 87), (62, 183, 77), (90, 89, 186)),
        (12, (193, 83, 87), (41, 183, 77), (90, 90, 186)),
        (22, (182, 93, 90), (86, 177, 90), (90, 95, 180)),
    ],
)
def test_pale_colours_of_each_set_of_primaries_are_converted(
    primaries: int, red: tuple[int, ...], green: tuple[int, ...], blue: tuple[int, ...]
) -> None:
    """Expected values were calculated from the chromaticities of H.273 and the formulas of SMPTE RP 177."""
    encoding = encoding_of(primaries, 13)
    coded = [(180, 90, 90), (90, 180, 90), (90, 90, 180)]
    for colour, expected in zip(coded, (red, green, blue), strict=True):
        assert shown(colour, encoding) == pytest.approx(expected, abs=1)


def test_hybrid_log_gamma_takes_its_system_gamma_from_the_luminance_of_the_pixel() -> None:
    """Blue alone gives little luminance, so that it is darker on the display than the same value in grey."""
    blue = shown((0, 0, 150), encoding_of(1, 18))[2]
    assert blue < shown((150, 150, 150), encoding_of(1, 18))[2] - 20


@pytest.mark.parametrize(("code", "expected"), [(16, 0), (235, 255), (0, 0), (255, 255), (126, 128)])
def test_the_range_of_video_is_widened(code: int, expected: int) -> None:
    assert shown((code,) * 3, encoding_of(1, 13, narrow=True)) == (expected,) * 3


@pytest.mark.parametrize("code_points", [(10, 13), (99, 13), (1, 9), (1, 10), (1, 255)])
def test_code_points_that_no_photo_has_are_refused(code_points: tuple[int, int]) -> None:
    with pytest.raises(Rejected) as raised:
        encoding_of(*code_points)
    assert raised.value.reason == "unsupported"
    assert "sRGB" in raised.value.detail


def test_transparent_pixels_are_white_in_every_encoding() -> None:
    assert shown((0, 99, 0, 0), encoding_of(9, 16), "RGBA") == (255, 255, 255)


def test_another_white_point_turns_its_white_into_that_of_srgb() -> None:
    warm = Primaries(red=SRGB.red, green=SRGB.green, blue=SRGB.blue, white=(0.3457, 0.3585))
    assert shown((200, 200, 200), Encoding(primaries=warm)) == pytest.approx((200, 200, 200), abs=1)
