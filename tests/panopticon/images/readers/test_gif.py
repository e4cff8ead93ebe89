import numpy as np
import pytest
from PIL import Image

from panopticon.images.limits import DecodeLimits
from panopticon.images.readers import gif
from tests import pictures
from tests.panopticon.images.readers.shown import colour_of, rejection_of, shown, zero_filled

RED, GREEN = (254, 0, 0), (0, 254, 0)


def see_through(width_px: int = 40, height_px: int = 40) -> Image.Image:
    return Image.new("RGBA", (width_px, height_px))


def animation(*frames: Image.Image) -> bytes:
    return pictures.encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2)


def small_frame(*, transparent: bool) -> bytes:
    """Return a GIF of 40 × 40 pixels whose only frame is a red one of 10 × 10, at the upper left corner."""
    whole = bytearray(
        pictures.encoded(Image.new("P", (10, 10), 1), "GIF", **_options(transparent=transparent))
    )
    whole[6:10] = bytes((40, 0, 40, 0))
    return bytes(whole)


def _options(*, transparent: bool) -> dict[str, object]:
    palette = bytes((0, 0, 0)) + bytes(RED)
    return {"palette": palette} | ({"transparency": 0} if transparent else {})


def test_the_first_frame_is_shown_if_it_shows_something() -> None:
    assert colour_of(animation(Image.new("RGBA", (40, 40), RED), Image.new("RGBA", (40, 40), GREEN))) == RED


def test_empty_frames_before_the_first_picture_are_skipped() -> None:
    frames = [see_through(), see_through(), Image.new("RGBA", (40, 40), GREEN)]
    assert colour_of(animation(*frames)) == pytest.approx(GREEN, abs=2)


def test_an_animation_that_never_shows_anything_is_paper() -> None:
    assert colour_of(animation(see_through(), see_through())) == (255, 255, 255)


def test_a_single_empty_frame_is_paper() -> None:
    assert colour_of(animation(see_through())) == (255, 255, 255)


@pytest.mark.parametrize("transparent", [False, True])
def test_the_canvas_around_a_small_frame_is_paper(transparent: bool) -> None:
    pixels = shown(small_frame(transparent=transparent), (40, 40))
    assert tuple(pixels[2, 2]) == pytest.approx(RED, abs=4)
    assert tuple(pixels[30, 30]) == (255, 255, 255)


def test_a_frame_that_fills_the_canvas_keeps_one_byte_a_pixel() -> None:
    whole = pictures.encoded(pictures.photo().convert("P"), "GIF")
    assert gif.read(whole, limits=DecodeLimits(), shrink=lambda _: 1).image.mode == "P"


def test_a_later_frame_lies_on_the_canvas_of_those_before_it() -> None:
    frame = see_through()
    frame.paste((*GREEN, 255), (20, 20, 40, 40))
    pixels = shown(animation(see_through(), frame), (40, 40))
    assert tuple(pixels[30, 30]) == pytest.approx(GREEN, abs=4)
    assert tuple(pixels[5, 5]) == (255, 255, 255)


@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_half_written_file_is_rejected(kept: float) -> None:
    whole = pictures.encoded(pictures.photo(200, 150), "GIF")
    assert rejection_of(zero_filled(whole, kept)).reason in {"truncated", "corrupt"}
    assert rejection_of(whole[: int(len(whole) * kept)]).reason == "truncated"


def test_an_animation_cut_after_its_first_picture_is_shown() -> None:
    whole = animation(pictures.photo(), pictures.photo(seed=1))
    assert np.array_equal(shown(whole[:-40]), shown(whole))
