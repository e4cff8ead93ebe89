"""JPEG as cameras, phones, scanners and broken downloads leave it."""

from __future__ import annotations

import io
import itertools
import random
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import decode
from panopticon.images.limits import JPEG_PIXELS_FACTOR, DecodeLimits
from panopticon.images.readers import jpeg as jpeg_reader
from tests import pictures

END = b"\xff\xd9"
VIDEO = b"MotionPhoto_Data\0\0\0\x18ftypmp42" + random.Random(1).randbytes(3_000_000)
"""Holds about 45 times what looks like the marker of a scan."""
DATA = Path(__file__).parents[3] / "data"
PHOTO = pictures.photo(96, 72)


def jpeg(image: Image.Image = PHOTO, **options: object) -> bytes:
    return pictures.encoded(image, "JPEG", **options)


def outcome(encoded: bytes, limits: DecodeLimits | None = None) -> str:
    try:
        decode(
            encoded,
            input=Input(width_px=24, height_px=24),
            preprocessing=Preprocessing(),
            limits=limits or DecodeLimits(),
        )
    except Rejected as refused:
        return refused.reason
    return "decoded"


def detail(encoded: bytes, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(Rejected) as refused:
        decode(
            encoded,
            input=Input(width_px=24, height_px=24),
            preprocessing=Preprocessing(),
            limits=limits or DecodeLimits(),
        )
    return str(refused.value)


def pixels_of(encoded: bytes, side_px: int = 72) -> NDArray[np.int16]:
    decoded = decode(encoded, input=Input(width_px=side_px, height_px=side_px), preprocessing=Preprocessing())
    return decoded.pixels.astype(np.int16)


def difference(encoded: bytes, image: Image.Image = PHOTO) -> float:
    """Return the mean difference, of 255, between a JPEG and the picture that it was made of."""
    return float(np.abs(pixels_of(encoded) - pixels_of(pictures.encoded(image, "PNG"))).mean())


def raw_pixels(encoded: bytes) -> bytes:
    image = JpegImageFile(io.BytesIO(encoded))
    image.load()
    return image.tobytes()


def marker_at(encoded: bytes, marker: int) -> int:
    return encoded.index(bytes((0xFF, marker)))


def with_height(encoded: bytes, height_px: int) -> bytes:
    at = marker_at(encoded, 0xC0) + 5
    return encoded[:at] + struct.pack(">H", height_px) + encoded[at + 2 :]


def without_segment(encoded: bytes, marker: int) -> bytes:
    at = marker_at(encoded, marker)
    return encoded[:at] + encoded[at + 2 + int.from_bytes(encoded[at + 2 : at + 4]) :]


def with_adobe(encoded: bytes, transform: int) -> bytes:
    segment = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes((transform,))
    return encoded[:2] + segment + encoded[2:]


KINDS = {
    f"{'progressive' if progressive else 'baseline'} {width_px}x{height_px} {mode} {restart} {quality}": jpeg(
        pictures.photo(width_px, height_px, seed=restart).convert(mode),
        progressive=progressive,
        restart_marker_blocks=restart,
        quality=quality,
        subsampling=0 if quality == 95 else 2,
    )
    for progressive, (width_px, height_px), mode, restart, quality in itertools.product(
        (False, True), ((64, 48), (33, 17)), ("RGB", "L", "CMYK"), (0, 3), (30, 95)
    )
}


class TestMissingEnd:
    @pytest.mark.parametrize("kept", [b"", b"\xff"])
    @pytest.mark.parametrize("name", KINDS)
    def test_a_jpeg_that_lacks_only_its_end_mark_is_decoded(self, name: str, kept: bytes) -> None:
        whole = KINDS[name]
        assert np.array_equal(pixels_of(whole[:-2] + kept), pixels_of(whole))

    @given(st.sampled_from(sorted(KINDS)), st.integers(1, 40) | st.integers(1, 2000))
    def test_a_jpeg_cut_within_its_pixels_is_truncated_unless_no_pixel_changes(
        self, name: str, lost_bytes: int
    ) -> None:
        """The last bits of a progressive JPEG can be such that the decoder supplies the same."""
        whole = KINDS[name]
        begin = whole.index(b"\xff\xda") + 14
        cut = whole[: max(begin, len(whole) - 2 - lost_bytes)]
        if outcome(cut) == "decoded":
            assert name.startswith("progressive")
            assert raw_pixels(cut.removesuffix(b"\xff") + END) == raw_pixels(whole)
        else:
            assert outcome(cut) == "truncated"

    def test_a_progressive_jpeg_without_its_last_scan_is_truncated(self) -> None:
        whole = jpeg(progressive=True)
        assert outcome(whole[: whole.rindex(b"\xff\xda")]) == "truncated"

    @pytest.mark.parametrize("kept_bytes", [0, 2])
    @pytest.mark.parametrize("quality", [30, 95])
    def test_a_jpeg_cut_at_a_restart_marker_is_truncated(self, quality: int, kept_bytes: int) -> None:
        """Whatever follows in place of a marker, the decoder shows the same."""
        whole = KINDS[f"baseline 64x48 RGB 3 {quality}"]
        markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", whole)]
        assert {outcome(whole[: at + kept_bytes]) for at in markers} == {"truncated"}

    def test_another_picture_in_place_of_the_end_mark_is_not_mixed_in(self) -> None:
        whole, other = jpeg(), jpeg(pictures.photo(seed=9)) + VIDEO
        assert np.array_equal(pixels_of(whole[:-2] + other), pixels_of(whole))
        assert outcome(whole[:-400] + other) == "truncated"

    @pytest.mark.parametrize("max_pixels", [96 * 144, 48 * 72])
    def test_the_check_keeps_to_the_limit_on_pixels(self, max_pixels: int) -> None:
        whole, limits = jpeg(pictures.photo(96, 144)), DecodeLimits(max_pixels=max_pixels)
        assert outcome(whole[:-2], limits) == "decoded"
        assert outcome(whole[:-300], limits) == "truncated"


class TestTrailers:
    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize(
        "trailer", [VIDEO, b"\r\n\0\0garbage" * 100, bytes(5000), jpeg(pictures.photo(seed=5)), END, b"\xff"]
    )
    def test_what_follows_the_end_mark_is_not_looked_at(self, progressive: bool, trailer: bytes) -> None:
        whole = jpeg(progressive=progressive)
        assert np.array_equal(pixels_of(whole + trailer), pixels_of(whole))

    def test_scans_in_a_video_behind_a_progressive_photo_are_not_counted(self) -> None:
        assert VIDEO.count(b"\xff\xda") > 32
        assert outcome(jpeg(progressive=True) + VIDEO, DecodeLimits(max_pixels=96 * 72)) == "decoded"

    def test_a_second_picture_of_the_file_is_ignored(self) -> None:
        both = pictures.encoded(PHOTO, "MPO", save_all=True, append_images=[pictures.photo(seed=3)])
        assert difference(both) < 8

    @pytest.mark.parametrize("at", ["start", "tables", "scan", "end"])
    def test_fill_bytes_before_a_marker_are_skipped(self, at: str) -> None:
        whole = jpeg()
        offset = {
            "start": 2,
            "tables": marker_at(whole, 0xC4),
            "scan": marker_at(whole, 0xDA),
            "end": len(whole) - 2,
        }[at]
        filled = whole[:offset] + b"\xff\xff\xff" + whole[offset:]
        assert np.array_equal(pixels_of(filled), pixels_of(whole))

    @pytest.mark.parametrize("marker", [0xDB, 0xC0, 0xC4, 0xDA])
    def test_an_empty_comment_is_skipped(self, marker: int) -> None:
        at = marker_at(whole := jpeg(), marker)
        assert np.array_equal(pixels_of(whole[:at] + b"\xff\xfe\0\2" + whole[at:]), pixels_of(whole))


class TestScans:
    @pytest.mark.parametrize("scans", [201, 400, 900])
    def test_a_bomb_of_scans_is_too_costly(self, scans: int) -> None:
        assert outcome(pictures.many_scans(scans)) == "too_costly"

    def test_a_small_picture_of_400_scans_is_too_costly(self) -> None:
        whole = jpeg(progressive=True)
        last = whole[whole.rindex(b"\xff\xda") : -2]
        assert outcome(whole[:-2] + last * 400 + END) == "too_costly"

    def test_scans_of_a_large_picture_are_fewer_than_of_a_small_one(self) -> None:
        whole = jpeg(progressive=True)
        many = whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * 150 + END
        assert outcome(many, DecodeLimits(max_pixels=96 * 72)) == "too_costly"
        assert outcome(many) == "decoded"

    def test_a_picture_at_the_limit_may_have_as_many_scans_as_photos_have(self) -> None:
        assert outcome(jpeg(progressive=True), DecodeLimits(max_pixels=96 * 72)) == "decoded"

    def test_a_run_of_fill_bytes_is_passed_in_linear_time(self) -> None:
        whole = jpeg(progressive=True)
        at = whole.rindex(b"\xff\xda")
        assert outcome(whole[:at] + b"\xff" * 4_000_000 + whole[at:]) == "decoded"


class TestZeros:
    """A file that was reserved at full size, or that lost a block, has zeros in place of pixels."""

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
    @pytest.mark.parametrize(
        "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 5}], ids=str
    )
    def test_a_half_written_file_is_truncated(self, share: float, options: dict[str, object]) -> None:
        whole = jpeg(pictures.photo(400, 300), **options)
        begin = whole.index(b"\xff\xda") + 14
        written = begin + int(share * (len(whole) - begin))
        reserved = whole[:written] + bytes(len(whole) - written)
        assert outcome(reserved) == "truncated"
        assert "bytes are zeros" in detail(reserved)

    @pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 5}], ids=str)
    @pytest.mark.parametrize("block", range(2, 10, 2))
    def test_a_lost_block_of_a_baseline_file_is_corrupt(self, block: int, options: dict[str, object]) -> None:
        whole = jpeg(pictures.photo(800, 600), quality=85, **options)
        holed = whole[: block * 4096] + bytes(4096) + whole[block * 4096 + 4096 :]
        assert outcome(holed) == "corrupt"
        assert "zeros in place of pixels" in detail(holed)

    def test_the_first_half_of_a_progressive_file_is_not_enough(self) -> None:
        whole = jpeg(pictures.photo(800, 600), quality=85, progressive=True)
        holed = whole[:8192] + bytes(16384) + whole[8192 + 16384 :]
        assert outcome(holed) == "corrupt"

    @pytest.mark.parametrize(
        ("quality", "size_px"), [(10, (1000, 700)), (10, (1920, 1080)), (75, (800, 1200)), (95, (1000, 700))]
    )
    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("subsampling", [0, 2])
    def test_white_paper_with_tables_made_for_it_is_decoded(
        self, quality: int, size_px: tuple[int, int], progressive: bool, subsampling: int
    ) -> None:
        """Its tables have so few codes that most bytes in place of the last ones are decoded to white."""
        options = {"progressive": progressive, "subsampling": subsampling, "optimize": True}
        assert outcome(jpeg(Image.new("RGB", size_px, "white"), quality=quality, **options)) == "decoded"

    @pytest.mark.parametrize("colour", ["black", "white", "#808080", "#7f7f7f", "#5a783c"])
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    @pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
    def test_an_even_area_whose_code_is_zeros_is_decoded(
        self, colour: str, mode: str, options: dict[str, object]
    ) -> None:
        """With tables made for it, an even area is a long run of zeros."""
        flat = Image.new("RGB", (1200, 800), colour)
        bordered = flat.copy()
        bordered.paste(pictures.photo(300, 200), (400, 300))
        files = [jpeg(image.convert(mode), optimize=True, **options) for image in (flat, bordered)]
        assert any(bytes(512) in file for file in files)
        assert [outcome(file) for file in files] == ["decoded", "decoded"]

    def test_zeros_that_refine_a_black_area_are_decoded(self) -> None:
        """The last bits of its brightness are not coded: a zero for each block."""
        bordered = Image.new("L", (800, 600))
        bordered.paste(pictures.photo(320, 240, seed=4).convert("L"), (0, 0))
        assert outcome(jpeg(bordered, progressive=True, quality=95)) == "decoded"

    @pytest.mark.parametrize("at", [8192, 16384])
    def test_a_lost_block_between_two_restart_markers_is_corrupt(self, at: int) -> None:
        whole = jpeg(pictures.photo(800, 600), quality=85, restart_marker_blocks=500)
        holed = whole[:at] + bytes(4096) + whole[at + 4096 :]
        assert holed.count(b"\xff\xd0") == whole.count(b"\xff\xd0")
        assert outcome(holed) == "corrupt"

    @pytest.mark.parametrize("count", [1, 2, 15, 16, 600])
    def test_zeros_in_place_of_the_end_mark_alone_are_harmless(self, count: int) -> None:
        assert outcome(jpeg()[:-2] + bytes(count)) == "decoded"


class TestPixelLimit:
    LIMITS = DecodeLimits(max_pixels=10_000)

    def test_a_baseline_jpeg_may_have_several_times_the_limit(self) -> None:
        at_limit = jpeg(pictures.photo(100 * JPEG_PIXELS_FACTOR, 100))
        assert outcome(jpeg(pictures.photo(200, 200)), self.LIMITS) == "decoded"
        assert outcome(jpeg(pictures.photo(200, 201)), self.LIMITS) == "too_many_pixels"
        assert outcome(at_limit, self.LIMITS) == "decoded"

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_message_names_the_setting_and_its_value(self, progressive: bool) -> None:
        expected = "at most 10000 (setting" if progressive else "at most 40000 (4 × setting"
        message = detail(jpeg(pictures.photo(300, 200), progressive=progressive), self.LIMITS)
        assert message == f"too_many_pixels: 300 x 200 pixels; {expected} max_pixels)"

    def test_a_jpeg_that_cannot_be_decoded_smaller_has_the_plain_limit(self) -> None:
        """Its short side is needed in full, so every pixel would be decoded."""
        assert outcome(jpeg(pictures.photo(400, 90)), self.LIMITS) == "too_many_pixels"

    def test_the_message_of_too_many_bytes_names_its_setting(self) -> None:
        message = detail(jpeg(), DecodeLimits(max_bytes=100))
        assert message.endswith("bytes; at most 100 (setting max_bytes)")


class TestSmallerDecoding:
    @pytest.mark.parametrize(
        ("factor", "size_px"),
        [(1, (320, 240)), (2, (160, 120)), (3, (160, 120)), (4, (80, 60)), (8, (40, 30)), (99, (40, 30))],
    )
    def test_a_jpeg_is_decoded_as_small_as_the_fine_step_allows(
        self, factor: int, size_px: tuple[int, int]
    ) -> None:
        whole = jpeg(pictures.photo(320, 240))
        picture = jpeg_reader.read(whole, limits=DecodeLimits(), shrink=lambda _: factor)
        assert picture.image.size == size_px
        assert picture.stored_size_px == (320, 240)

    def test_a_lossless_jpeg_is_decoded_at_full_size(self) -> None:
        whole = (DATA / "lossless.jpg").read_bytes()
        picture = jpeg_reader.read(whole, limits=DecodeLimits(), shrink=lambda _: 8)
        assert picture.image.size == (24, 18)


class TestColour:
    CMYK = jpeg(PHOTO.convert("CMYK"), quality=95)

    def test_cmyk_is_right_with_and_without_the_mark_of_adobe(self) -> None:
        assert difference(self.CMYK) < 3
        assert difference(without_segment(self.CMYK, 0xEE)) < 3

    def test_ycck_is_right(self) -> None:
        cyan, magenta, yellow = (255 - np.asarray(channel) for channel in PHOTO.split())
        inks = np.dstack([cyan, magenta, yellow]).astype(np.uint8)
        colours = np.asarray(Image.fromarray(inks).convert("YCbCr"))
        planes = np.dstack([colours, np.full((72, 96, 1), 255, np.uint8)])
        stored = jpeg(Image.frombytes("CMYK", (96, 72), (255 - planes).tobytes()), quality=95)
        assert difference(with_adobe(without_segment(stored, 0xEE), 2)) < 3

    def test_rgb_without_a_transform_is_right(self) -> None:
        assert difference(jpeg(keep_rgb=True, quality=95)) < 3

    def test_the_transform_of_adobe_decides_over_the_numbers_of_components(self) -> None:
        ordinary = jpeg(quality=95)
        without_jfif = without_segment(ordinary, 0xE0)
        assert difference(with_adobe(without_jfif, 1)) < 3
        assert difference(without_jfif) < 3

    def test_grey_is_right(self) -> None:
        grey = PHOTO.convert("L")
        assert difference(jpeg(grey, quality=95), grey) < 3


class TestVariants:
    @pytest.mark.parametrize("name", ["arithmetic.jpg", "lossless.jpg"])
    def test_rare_codings_that_the_decoder_knows_are_right(self, name: str) -> None:
        assert difference((DATA / name).read_bytes(), pictures.photo(24, 18)) < 3

    def test_a_lossless_jpeg_is_exact_for_a_small_model(self) -> None:
        small = pixels_of((DATA / "lossless.jpg").read_bytes(), 4)
        assert np.array_equal(small, pixels_of(pictures.encoded(pictures.photo(24, 18), "PNG"), 4))

    @pytest.mark.parametrize("name", ["arithmetic.jpg", "lossless.jpg"])
    def test_their_missing_pixels_are_found_as_well(self, name: str) -> None:
        whole = (DATA / name).read_bytes()
        assert outcome(whole[:-2]) == "decoded"
        assert outcome(whole[:-100]) == "truncated"

    @pytest.mark.parametrize(
        ("marker", "said"),
        [(0xF7, "JPEG-LS"), (0xC5, "hierarchical JPEG"), (0xC6, "hierarchical JPEG"), (0xCF, "hierarchical")],
    )
    def test_a_coding_that_is_not_decoded_is_unsupported_by_name(self, marker: int, said: str) -> None:
        at = marker_at(whole := jpeg(), 0xC0)
        assert detail(whole[: at + 1] + bytes((marker,)) + whole[at + 2 :]).startswith(f"unsupported: {said}")

    @pytest.mark.parametrize("marker", [0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF])
    def test_every_hierarchical_coding_is_named(self, marker: int) -> None:
        at = marker_at(whole := jpeg(), 0xC0)
        changed = whole[: at + 1] + bytes((marker,)) + whole[at + 2 :]
        assert detail(changed) == "unsupported: hierarchical JPEG"

    @pytest.mark.parametrize("marker", [0xC2, 0xC3, 0xCA, 0xCB])
    def test_a_coding_that_is_decoded_at_full_size_has_the_plain_limit(self, marker: int) -> None:
        at = marker_at(whole := jpeg(pictures.photo(200, 200)), 0xC0)
        changed = whole[: at + 1] + bytes((marker,)) + whole[at + 2 :]
        assert outcome(changed, TestPixelLimit.LIMITS) == "too_many_pixels"

    @pytest.mark.parametrize("length", range(2, 17))
    def test_a_header_that_ends_early_is_corrupt(self, length: int) -> None:
        at = marker_at(whole := jpeg(), 0xC0)
        short = whole[: at + 2] + struct.pack(">H", length) + whole[at + 4 : at + 2 + length]
        rest = whole[at + 2 + int.from_bytes(whole[at + 2 : at + 4]) :]
        assert detail(short + rest) == "corrupt: its header ends early"

    @pytest.mark.parametrize("length", range(2, 12))
    def test_a_header_of_a_scan_that_ends_early_is_corrupt(self, length: int) -> None:
        at = marker_at(whole := jpeg(), 0xDA)
        short = whole[: at + 2] + struct.pack(">H", length) + whole[at + 4 : at + 2 + length]
        assert detail(short + b"\xff\xd9") == "corrupt: the header of a scan ends early"

    def test_twelve_bits_are_unsupported(self) -> None:
        at = marker_at(whole := jpeg(), 0xC0) + 4
        message = detail(whole[:at] + b"\x0c" + whole[at + 1 :])
        assert message == "unsupported: JPEG of 12 bits a sample; only 8 are decoded"

    @pytest.mark.parametrize("count", [0, 2, 5])
    def test_another_number_of_components_is_unsupported(self, count: int) -> None:
        at = marker_at(whole := jpeg(), 0xC0)
        frame = struct.pack(">BHHB", 8, 72, 96, count) + b"\1\x11\0" * count
        rest = whole[at + 2 + int.from_bytes(whole[at + 2 : at + 4]) :]
        changed = whole[: at + 2] + struct.pack(">H", 2 + len(frame)) + frame + rest
        assert detail(changed) == f"unsupported: JPEG of {count} colour components"

    def test_a_height_of_zero_is_refused(self) -> None:
        assert outcome(with_height(jpeg(), 0)) == "zero_size"

    def test_a_width_of_zero_is_refused(self) -> None:
        at = marker_at(whole := jpeg(), 0xC0) + 7
        assert outcome(whole[:at] + bytes(2) + whole[at + 2 :]) == "zero_size"

    def test_a_height_that_follows_the_pixels_is_unsupported(self) -> None:
        lines = b"\xff\xdc\0\4" + struct.pack(">H", 72)
        whole = with_height(jpeg(), 0)
        assert "unsupported: JPEG whose height" in detail(whole[:-2] + lines + END)

    def test_more_rows_than_the_decoder_knows_are_refused(self) -> None:
        assert outcome(with_height(jpeg(Image.new("L", (16, 64))), 65535)) == "corrupt"

    @pytest.mark.parametrize("rest", [b"", END, b"\xff\xda\0\2", b"\xff\xd8", b"\xff\xc0\0\2\xff\xda\0\2"])
    def test_a_file_without_pixels_is_refused(self, rest: bytes) -> None:
        assert outcome(b"\xff\xd8" + b"\xff\xfe\0\2" + rest) in ("corrupt", "truncated")
