import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images import scaling
from panopticon.images.decoding import Decoded, decode
from panopticon.images.limits import DecodeLimits
from tests import pictures
from tests.panopticon.images.profiles import SWAPPED

MODEL = Input(width_px=224, height_px=224)
CENTRE = Preprocessing(crop=0.875)
WHOLE = Preprocessing()


def pixels_of(encoded: bytes, *, size_px: tuple[int, int] = (32, 32)) -> NDArray[np.int16]:
    """Return the decoded pixels as signed numbers, so that they can be subtracted."""
    model = Input(width_px=size_px[0], height_px=size_px[1])
    return decode(encoded, input=model, preprocessing=WHOLE).pixels.astype(np.int16)


def decoded(encoded: bytes) -> Decoded:
    return decode(encoded, input=MODEL, preprocessing=CENTRE)


def quadrants(width_px: int = 64, height_px: int = 64) -> Image.Image:
    """Make a picture with a red, green, blue and white corner, so that every turn and flip is visible."""
    image = Image.new("RGB", (2, 2))
    for at, colour in zip(((0, 0), (1, 0), (0, 1), (1, 1)), ("red", "lime", "blue", "white"), strict=True):
        image.paste(colour, (*at, at[0] + 1, at[1] + 1))
    return image.resize((width_px, height_px), Image.Resampling.NEAREST)


@pytest.mark.parametrize("name", pictures.FORMAT_OPTIONS)
def test_every_format_gives_the_model_its_shape(name: str) -> None:
    pixels = decoded(pictures.one_of_each()[name]).pixels
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("name", pictures.FORMAT_OPTIONS)
def test_every_format_gives_the_same_picture(name: str) -> None:
    original = np.asarray(pictures.photo(64, 64), dtype=np.int16)
    shown = pixels_of(pictures.encoded(pictures.photo(64, 64), name), size_px=(64, 64))
    assert np.abs(shown - original).mean() < 8


def test_the_size_is_that_of_the_original() -> None:
    result = decoded(pictures.encoded(pictures.photo(2000, 1500), "JPEG"))
    assert (result.width_px, result.height_px) == (2000, 1500)


def test_the_input_need_not_be_square() -> None:
    pixels = pixels_of(pictures.encoded(quadrants(), "PNG"), size_px=(40, 20))
    assert pixels.shape == (20, 40, 3)
    assert tuple(pixels[0, -1]) == (0, 255, 0)


def test_the_crop_is_the_central_part_of_the_short_side() -> None:
    framed = ImageOps.expand(Image.new("RGB", (224, 224), "blue"), border=(100, 16), fill="red")
    pixels = decoded(pictures.encoded(framed, "PNG")).pixels
    assert (pixels == (0, 0, 255)).all()


@pytest.mark.parametrize("size_px", [(1, 1), (3, 2), (1, 10_000), (10_000, 1), (2, 60_000), (223, 225)])
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_tiny_and_extreme_shapes_are_scaled_up(name: str, size_px: tuple[int, int]) -> None:
    pixels = decoded(pictures.encoded(Image.new("RGB", size_px, (9, 99, 199)), name)).pixels
    assert np.abs(pixels.astype(int) - (9, 99, 199)).max() <= 1


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_oriented_image_is_turned_upright(name: str, orientation: int) -> None:
    turned = pictures.oriented(orientation, quadrants(), name)
    with Image.open(io.BytesIO(turned)) as image:
        image.load()
        upright = ImageOps.exif_transpose(image).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(pixels_of(turned) - np.asarray(upright, dtype=np.int16)).max() < 40


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [(1, "RGBW"), (2, "GRWB"), (3, "WBGR"), (4, "BWRG"), (5, "RBGW"), (6, "BRWG"), (7, "WGBR"), (8, "GWRB")],
)
def test_each_orientation_brings_its_corner_to_the_top(orientation: int, corners: str) -> None:
    pixels = pixels_of(pictures.oriented(orientation, quadrants(), "PNG"))
    letters = {(255, 0, 0): "R", (0, 255, 0): "G", (0, 0, 255): "B", (255, 255, 255): "W"}
    seen = [letters[tuple(pixels[at].tolist())] for at in ((0, 0), (0, -1), (-1, 0), (-1, -1))]
    assert "".join(seen) == corners


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "size_px"),
    [
        *((upright, (80, 40)) for upright in (1, 2, 3, 4)),
        *((sideways, (40, 80)) for sideways in (5, 6, 7, 8)),
    ],
)
def test_the_size_is_that_of_the_upright_picture(
    name: str, orientation: int, size_px: tuple[int, int]
) -> None:
    result = decoded(pictures.oriented(orientation, pictures.photo(80, 40), name))
    assert (result.width_px, result.height_px) == size_px


def test_a_sideways_picture_is_upright_for_an_input_that_is_not_square() -> None:
    pixels = pixels_of(pictures.oriented(6, quadrants(), "PNG"), size_px=(40, 20))
    assert pixels.shape == (20, 40, 3)
    assert tuple(pixels[0, 0]) == (0, 0, 255)


def test_broken_exif_is_ignored() -> None:
    broken = pictures.encoded(quadrants(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(40))
    assert np.array_equal(pixels_of(broken), pixels_of(pictures.encoded(quadrants(), "JPEG")))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_is_decoded(name: str) -> None:
    red, blue = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    moving = pictures.encoded(red, name, save_all=True, append_images=[blue])
    assert np.abs(pixels_of(moving) - (255, 0, 0)).max() < 8


def test_a_profile_in_the_file_is_applied() -> None:
    plain = pictures.encoded(Image.new("RGB", (40, 40), (250, 10, 10)), "PNG", icc_profile=SWAPPED)
    assert pixels_of(plain)[0, 0].argmax() == 1


def test_the_inverted_cmyk_of_adobe_is_inverted_back() -> None:
    orange = pictures.encoded(Image.new("RGB", (40, 40), (200, 100, 50)).convert("CMYK"), "JPEG")
    assert pixels_of(orange)[0, 0] == pytest.approx((200, 100, 50), abs=3)


def test_twelve_bit_tiff_is_as_bright_as_it_looks() -> None:
    rows = bytes.fromhex("800800") * 32 * 64
    tags = [
        tag if tag[0] != 258 else (258, 3, 1, 12) for tag in pictures.tags_of(64, 64, data_at=0, data_bytes=0)
    ]
    at = 8 + 2 + 12 * len(tags) + 4
    tags = [(273, 4, 1, at) if tag[0] == 273 else tag for tag in tags]
    assert pixels_of(pictures.tiff(tags, rows))[5, 5] == pytest.approx((128,) * 3, abs=1)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "LA", "I;16", "P"])
def test_scaling_in_steps_stays_close_to_scaling_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = pictures.photo(2400, 1800)
    if mode == "I;16":
        photo = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    name = {"RGB": "JPEG", "L": "JPEG", "CMYK": "JPEG"}.get(mode, "PNG")
    encoded = pictures.encoded(photo if mode == "I;16" else photo.convert(mode), name)
    stepwise = decoded(encoded).pixels.astype(int)
    monkeypatch.setattr(scaling, "FINE_STEPS", 1_000_000)
    difference = np.abs(stepwise - decoded(encoded).pixels)
    assert difference.mean() < 1
    assert difference.max() < 32


def test_a_large_jpeg_is_decoded_at_a_reduced_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def resized(image: Image.Image, *args: object, **options: object) -> Image.Image:
        seen.append(image.size)
        return scaling.resized(image, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("panopticon.images.decoding.resized", resized)
    decoded(pictures.encoded(Image.new("RGB", (4000, 3000)), "JPEG"))
    assert seen == [(1000, 750)]


def test_several_threads_decode_at_once() -> None:
    files = [
        *pictures.one_of_each(seed=7).values(),
        pictures.encoded(pictures.photo(900, 700), "JPEG", icc_profile=SWAPPED),
        pictures.encoded(pictures.photo(900, 700, seed=1), "PNG"),
    ] * 8
    alone = [decoded(file).pixels.tobytes() for file in files]
    with ThreadPoolExecutor(8) as pool:
        together = [result.pixels.tobytes() for result in pool.map(decoded, files)]
    assert together == alone


def test_an_image_at_the_pixel_limit_is_decoded_and_one_above_is_rejected() -> None:
    photo = pictures.encoded(pictures.photo(100, 100), "PNG")
    decode(photo, input=MODEL, preprocessing=WHOLE, limits=DecodeLimits(max_pixels=10_000))
    with pytest.raises(Rejected) as raised:
        decode(photo, input=MODEL, preprocessing=WHOLE, limits=DecodeLimits(max_pixels=9_999))
    assert raised.value.reason == "too_many_pixels"


def test_an_image_at_the_byte_limit_is_decoded_and_one_above_is_rejected() -> None:
    photo = pictures.one_of_each()["JPEG"]
    decode(photo, input=MODEL, preprocessing=WHOLE, limits=DecodeLimits(max_bytes=len(photo)))
    with pytest.raises(Rejected) as raised:
        decode(photo, input=MODEL, preprocessing=WHOLE, limits=DecodeLimits(max_bytes=len(photo) - 1))
    assert raised.value.reason == "too_many_bytes"


@pytest.mark.parametrize("size_px", [(9_500, 9_900), (9_900, 9_500)])
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_an_image_between_our_pixel_limit_and_that_of_pillow_causes_no_warning(
    name: str, size_px: tuple[int, int]
) -> None:
    result = decoded(pictures.encoded(Image.new("1", size_px), name, **_packed(name)))
    assert (result.width_px, result.height_px) == size_px


def _packed(name: str) -> dict[str, str]:
    return {"compression": "group4"} if name == "TIFF" else {}


def test_a_file_without_bytes_is_empty() -> None:
    with pytest.raises(Rejected) as raised:
        decoded(b"")
    assert raised.value.reason == "empty"
