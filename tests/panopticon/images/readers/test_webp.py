import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers import webp
from tests import pictures
from tests.panopticon.images.profiles import GREY_GAMMA_1, SWAPPED
from tests.panopticon.images.readers.shown import colour_of, difference, rejection_of, zero_filled

GREEN = (0, 200, 0)
KINDS: dict[str, dict[str, Any]] = {
    "lossy": {"quality": 80},
    "lossless": {"lossless": True},
    "least effort": {"lossless": True, "quality": 0, "method": 0},
}


def animation(*frames: Image.Image, **options: Any) -> bytes:
    return pictures.encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], minimize_size=False, **options
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_half_written_file_is_rejected(kind: str, kept: float) -> None:
    whole = pictures.encoded(pictures.photo(320, 240), "WEBP", **KINDS[kind])
    assert difference(whole, pictures.photo(320, 240)) < 4
    assert rejection_of(zero_filled(whole, kept)).reason in {"truncated", "corrupt"}


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_half_written_animation_is_rejected_if_its_first_frame_is_not_whole(kept: float) -> None:
    frames = [pictures.photo(320, 240), pictures.photo(32, 24).resize((320, 240))]
    whole = animation(*frames, quality=80)
    end = whole.index(b"ANMF", whole.index(b"ANMF") + 4)
    broken = zero_filled(whole[:end], kept) + whole[end:]
    assert rejection_of(broken).reason in {"truncated", "corrupt"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (120, 130, 140)])
def test_a_flat_picture_may_end_in_zeros(kind: str, colour: tuple[int, int, int]) -> None:
    flat = pictures.encoded(Image.new("RGB", (1200, 800), colour), "WEBP", **KINDS[kind])
    assert colour_of(flat) == pytest.approx(colour, abs=3)


def test_a_flat_part_at_the_bottom_may_be_coded_as_zeros() -> None:
    picture = Image.new("RGB", (1500, 1000))
    picture.paste(pictures.photo(1500, 25))
    whole = pictures.encoded(picture, "WEBP", **KINDS["least effort"])
    assert whole.endswith(bytes(1000))
    assert difference(whole, picture) < 3


@pytest.mark.parametrize("method", [0, 2])
def test_a_flat_part_of_a_lossy_picture_may_be_coded_as_many_zeros(method: int) -> None:
    picture = Image.new("RGB", (640, 480))
    picture.paste(pictures.photo(640, 25))
    whole = pictures.encoded(picture, "WEBP", quality=100, method=method)
    assert whole.endswith(bytes(700))
    assert difference(whole, picture) < 3


def test_a_gradient_that_repeats_down_to_the_last_row_may_be_coded_as_zeros() -> None:
    ramp = Image.fromarray(np.tile(np.arange(800) // 4 % 256, (600, 1)).astype(np.uint8)).convert("RGB")
    ramp.paste(pictures.photo(800, 100))
    whole = pictures.encoded(ramp, "WEBP", **KINDS["least effort"])
    assert whole.endswith(bytes(10_000))
    assert difference(whole, ramp) < 3


def test_a_cut_file_is_truncated() -> None:
    whole = pictures.encoded(pictures.photo(320, 240), "WEBP")
    assert rejection_of(whole[: len(whole) // 2]).reason == "truncated"


def test_a_file_of_unknown_parts_is_corrupt() -> None:
    assert rejection_of(b"RIFF\x24\0\0\0WEBPABCD\x18\0\0\0" + bytes(24)).reason == "corrupt"


@pytest.mark.parametrize("size_px", [(5, 3), (300, 7), (7, 300), (9000, 1), (1, 9000)])
@pytest.mark.parametrize("kind", ["lossy", "lossless", "extended"])
def test_the_size_is_checked_against_the_limit_before_the_decoder_takes_memory(
    kind: str, size_px: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGBA", size_px, (9, 99, 199, 128))
    options = {"exact": True} if kind == "extended" else KINDS[kind]
    whole = pictures.encoded(picture if kind == "extended" else picture.convert("RGB"), "WEBP", **options)
    pixels = size_px[0] * size_px[1]
    assert webp.read(whole, limits=DecodeLimits(max_pixels=pixels), shrink=lambda _: 1).orientation == 1
    monkeypatch.setattr(webp, "open_header", lambda *_: pytest.fail("the decoder was called"))
    with pytest.raises(Rejected, match=f"{size_px[0]} x {size_px[1]} pixels"):
        webp.read(whole, limits=DecodeLimits(max_pixels=pixels - 1), shrink=lambda _: 1)


def test_empty_frames_before_the_first_picture_are_skipped() -> None:
    empty, faint = Image.new("RGBA", (40, 40)), Image.new("RGBA", (40, 40), (*GREEN, 20))
    moving = animation(empty, faint, Image.new("RGBA", (40, 40), (*GREEN, 255)), lossless=True)
    assert colour_of(moving) == GREEN


def test_an_animation_that_stays_faint_is_shown_by_its_first_frame() -> None:
    faint = [Image.new("RGBA", (40, 40), (*colour, 100)) for colour in ((255, 0, 0), (0, 255, 0))]
    assert colour_of(animation(*faint, lossless=True)) == pytest.approx((255, 155, 155), abs=2)


def test_the_search_for_a_frame_takes_a_limited_amount_of_work() -> None:
    empty = [Image.new("RGBA", (40, 40), (0, 0, index, 1)) for index in range(80)]
    moving = animation(*empty, Image.new("RGBA", (40, 40), GREEN), lossless=True)
    assert min(colour_of(moving)) >= 253
    sooner = animation(*empty[:10], Image.new("RGBA", (40, 40), GREEN), lossless=True)
    assert colour_of(sooner) == GREEN


@pytest.mark.parametrize("profile", [SWAPPED, GREY_GAMMA_1], ids=["rgb", "grey"])
def test_a_profile_counts_if_it_is_one_for_rgb(profile: bytes) -> None:
    red = pictures.encoded(
        Image.new("RGB", (40, 40), (250, 10, 10)), "WEBP", lossless=True, icc_profile=profile
    )
    assert np.argmax(colour_of(red)) == (1 if profile == SWAPPED else 0)


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_is_read_with_and_without_its_prefix(prefix: bytes) -> None:
    turned = pictures.photo().transpose(Image.Transpose.ROTATE_180)
    exif = prefix + b"II*\0" + struct.pack("<LH", 8, 1) + struct.pack("<HHLL", 274, 3, 1, 3) + bytes(4)
    assert difference(pictures.encoded(turned, "WEBP", lossless=True, exif=exif), pictures.photo()) < 1
