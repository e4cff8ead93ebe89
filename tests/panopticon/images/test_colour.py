import pytest
from PIL import Image

from panopticon.images.colour import additive, to_rgb
from tests import pictures
from tests.panopticon.images.profiles import GREY_GAMMA_1, SRGB, SWAPPED, WIDE

ORANGE = (200, 100, 50)
GREY = (124, 124, 124)


def shown(image: Image.Image, profile: bytes | None = None) -> tuple[int, ...]:
    """Return the first pixel as `decode` would convert it."""
    pixel = to_rgb(additive(image), profile).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", ORANGE),
        ("RGBA", ORANGE),
        ("RGBX", ORANGE),
        ("CMYK", ORANGE),
        ("YCbCr", ORANGE),
        ("LAB", ORANGE),
        ("HSV", ORANGE),
        ("P", (204, 102, 51)),
        ("PA", (204, 102, 51)),
        ("L", GREY),
        ("LA", GREY),
    ],
)
def test_every_mode_keeps_the_colour(mode: str, expected: tuple[int, ...]) -> None:
    image = Image.new("RGB", (4, 4), ORANGE).convert(mode)
    assert shown(image) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize(("mode", "straight"), [("RGBa", "RGBA"), ("La", "LA")])
def test_premultiplied_colours_equal_the_straight_ones(mode: str, straight: str) -> None:
    image = Image.new("RGBA", (4, 4), (200, 200, 200, 128)).convert(straight)
    assert shown(image.convert(mode)) == pytest.approx(shown(image), abs=2)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (1, 255)])
def test_one_bit_is_black_or_white(value: int, expected: int) -> None:
    assert shown(Image.new("1", (4, 4), value)) == (expected,) * 3


@pytest.mark.parametrize(("alpha", "expected"), [(0, (255, 255, 255)), (255, ORANGE), (128, (227, 177, 152))])
def test_transparent_pixels_are_blended_with_white(alpha: int, expected: tuple[int, ...]) -> None:
    assert shown(Image.new("RGBA", (4, 4), (*ORANGE, alpha))) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    image = Image.new(mode, (4, 4), 0)
    if mode == "P":
        image.putpalette(bytes(768))
    image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    assert shown(image) == (255, 255, 255)


def test_a_profile_that_swaps_two_colours_is_applied() -> None:
    red, green, blue = shown(Image.new("RGB", (4, 4), (250, 10, 10)), SWAPPED)
    assert green > 200
    assert red < 100
    assert blue < 100


def test_a_wide_gamut_makes_colours_stronger() -> None:
    red, green, _ = shown(Image.new("RGB", (4, 4), (180, 120, 120)), WIDE)
    assert red - green > 70


def test_a_copy_of_srgb_changes_no_byte() -> None:
    photo = pictures.photo()
    assert to_rgb(photo, SRGB).tobytes() == photo.tobytes()


def test_a_grey_profile_is_applied() -> None:
    assert shown(Image.new("L", (4, 4), 55), GREY_GAMMA_1) == pytest.approx((127,) * 3, abs=3)


def test_applying_a_profile_keeps_the_alpha_channel() -> None:
    see_through = shown(Image.new("RGBA", (4, 4), (250, 10, 10, 0)), SWAPPED)
    assert see_through == (255, 255, 255)


@pytest.mark.parametrize(
    "profile",
    [b"", b"no profile", SRGB[:200], SRGB[:-100], bytes(5 * 1024 * 1024)],
    ids=["empty", "text", "head", "cut", "huge"],
)
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    assert shown(Image.new("RGB", (4, 4), ORANGE), profile) == pytest.approx(ORANGE, abs=1)


def test_a_profile_for_other_colours_is_ignored() -> None:
    assert shown(Image.new("L", (4, 4), 99), SWAPPED) == (99,) * 3
