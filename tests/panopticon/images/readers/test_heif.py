"""HEIC: what the decoder is given, and what it must not be given."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import Decoded, decode
from panopticon.images.limits import DecodeLimits
from tests import heif, pictures

PHOTO = pictures.photo(192, 128)
CODED = heif.coded(PHOTO)
DARK = heif.coded(Image.new("RGB", PHOTO.size, "navy"))
TURNS = Image.Transpose
RIGHT = 3.0
"""Mean difference, of 255, up to which two pictures count as the same."""


def decoded(encoded: bytes, *, limits: DecodeLimits | None = None) -> Decoded:
    square = Input(width_px=64, height_px=64)
    return decode(encoded, input=square, preprocessing=Preprocessing(), limits=limits or DecodeLimits())


def difference(encoded: bytes, expected: Image.Image) -> float:
    """Return the mean difference between the picture of a file and the one expected, as PNG."""
    wanted = decoded(pictures.encoded(expected, "PNG"))
    found = decoded(encoded)
    assert (found.width_px, found.height_px) == (wanted.width_px, wanted.height_px)
    return float(np.abs(found.pixels.astype(int) - wanted.pixels).mean())


def reason(encoded: bytes, *, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(Rejected) as raised:
        decoded(encoded, limits=limits)
    return str(raised.value)


def auxiliary(item: heif.Item, urn: bytes) -> heif.Item:
    """Return the item as an auxiliary picture of the first one."""
    return heif.Item(
        kind=item.kind,
        data=item.data,
        properties=(*item.properties, heif.auxiliary(urn)),
        references=((b"auxl", (1,)),),
    )


@cache
def tiles() -> list[heif.Item]:
    """Return the photo in six tiles."""
    return [
        heif.coded(PHOTO.crop((left, top, left + 64, top + 64))) for top in (0, 64) for left in (0, 64, 128)
    ]


class TestPixels:
    @pytest.mark.parametrize("bits", [8, 10, 12])
    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
    def test_every_depth_and_mode_gives_the_same_picture(self, mode: str, bits: int) -> None:
        photo = PHOTO.convert(mode)
        if mode == "RGBA":
            photo.putalpha(Image.linear_gradient("L").resize(photo.size))
        assert difference(heif.encoded(photo, bits=bits), photo) < RIGHT

    @pytest.mark.parametrize("bits", [10, 12])
    def test_grey_of_more_bits_is_rounded(self, bits: int) -> None:
        levels = np.arange(4096).reshape(64, 64) >> 12 - bits
        made = pillow_heif.from_bytes("L;16", (64, 64), (levels << 16 - bits).astype(np.uint16).tobytes())
        file = io.BytesIO()
        made.save(file, quality=-1, bit_depth=bits)
        shown = decoded(file.getvalue()).pixels[..., 0]
        assert np.array_equal(shown, np.rint(levels * 255 / (2**bits - 1)))

    def test_premultiplied_colours_are_divided_by_their_alpha(self) -> None:
        alpha = Image.linear_gradient("L").resize(PHOTO.size)
        straight = PHOTO.convert("RGBA")
        straight.putalpha(alpha)
        file = io.BytesIO()
        premultiplied = straight.convert("RGBa")
        pillow_heif.from_bytes("RGBa", PHOTO.size, premultiplied.tobytes()).save(file, quality=95, chroma=444)
        assert difference(file.getvalue(), straight) < RIGHT

    def test_a_profile_is_honoured(self) -> None:
        swapped = Image.merge("RGB", PHOTO.split()[::-1])
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        # The primaries of red and blue trade their places in the profile.
        red, blue = lab.index(b"rXYZ"), lab.index(b"bXYZ")
        profile = bytearray(lab)
        profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
        file = heif.file_of([heif.coded(PHOTO, heif.icc(bytes(profile)))])
        assert difference(file, swapped) < RIGHT

    @pytest.mark.parametrize(
        ("code_points", "stored", "shown"),
        [
            # The red of sRGB in Display P3, and the white of HDR, 203 cd/m² (BT.2408).
            (heif.nclx(12, 13), (234, 51, 35), (255, 0, 0)),
            (heif.nclx(9, 16), (148, 148, 148), (255, 255, 255)),
            (heif.nclx(9, 18), (191, 191, 191), (255, 255, 255)),
            (heif.nclx(1, 13), (100, 150, 200), (100, 150, 200)),
        ],
        ids=["P3", "PQ", "HLG", "sRGB"],
    )
    def test_colours_named_by_code_points_are_converted(
        self, code_points: bytes, stored: tuple[int, int, int], shown: tuple[int, int, int]
    ) -> None:
        flat = Image.new("RGB", (64, 64), stored)
        assert (
            difference(heif.file_of([heif.coded(flat, code_points)]), Image.new("RGB", (64, 64), shown)) < 4
        )

    def test_a_profile_counts_before_code_points(self) -> None:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        file = heif.file_of([heif.coded(PHOTO, heif.nclx(9, 16), heif.icc(srgb))])
        assert difference(file, PHOTO) < RIGHT

    @pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1"])
    def test_the_brand_does_not_matter(self, brand: bytes) -> None:
        assert difference(heif.file_of([CODED], brand=brand), PHOTO) < RIGHT


class TestTurns:
    @pytest.mark.parametrize(
        ("box", "turn"),
        [
            (heif.irot(1), TURNS.ROTATE_90),
            (heif.irot(2), TURNS.ROTATE_180),
            (heif.irot(3), TURNS.ROTATE_270),
            (heif.imir(0), TURNS.FLIP_TOP_BOTTOM),
            (heif.imir(1), TURNS.FLIP_LEFT_RIGHT),
        ],
    )
    def test_a_turned_picture_is_turned_once(self, box: bytes, turn: Image.Transpose) -> None:
        assert difference(heif.file_of([heif.coded(PHOTO, box)]), PHOTO.transpose(turn)) < RIGHT

    def test_the_exif_orientation_does_not_turn_a_picture_once_more(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        file = heif.encoded(PHOTO, exif=exif.tobytes())
        assert b"irot" in file
        assert difference(file, PHOTO.transpose(TURNS.ROTATE_270)) < RIGHT


class TestItems:
    def test_the_tiles_of_a_grid_are_one_picture(self) -> None:
        grid = heif.grid(PHOTO.size, 3, range(1, 7))
        assert difference(heif.file_of([*tiles(), grid], primary=7), PHOTO) < RIGHT

    def test_the_last_tiles_reach_over_the_edge(self) -> None:
        grid = heif.grid((150, 100), 3, range(1, 7))
        assert difference(heif.file_of([*tiles(), grid], primary=7), PHOTO.crop((0, 0, 150, 100))) < RIGHT

    @pytest.mark.parametrize("primary", [1, 2, 3])
    def test_the_primary_picture_is_taken_wherever_it_stands(self, primary: int) -> None:
        burst = [DARK, DARK, DARK]
        burst[primary - 1] = CODED
        assert difference(heif.file_of(burst, primary=primary), PHOTO) < RIGHT

    @pytest.mark.parametrize(
        "urn",
        [b"urn:com:apple:photo:2020:aux:hdrgainmap", b"urn:mpeg:hevc:2015:auxid:2"],
        ids=["gain map", "depth"],
    )
    def test_gain_and_depth_maps_are_ignored(self, urn: bytes) -> None:
        assert difference(heif.file_of([CODED, auxiliary(DARK, urn)]), PHOTO) < RIGHT

    @pytest.mark.parametrize("kind", [b"av01", b"unci", b"Exif"])
    def test_a_file_without_a_picture_of_a_known_coding_is_refused(self, kind: bytes) -> None:
        item = heif.Item(kind=kind, data=CODED.data, properties=CODED.properties[1:])
        assert reason(heif.file_of([item])).startswith(("unsupported: ", "corrupt: "))

    def test_a_picture_in_another_coding_is_unsupported(self) -> None:
        configuration = heif.box(b"av1C", b"\x81\0\0\0")
        item = heif.Item(kind=b"av01", data=b"data", properties=(configuration, heif.ispe(64, 64)))
        assert reason(heif.file_of([item])).startswith("unsupported: ")

    def test_a_film_without_a_still_picture_is_refused(self) -> None:
        film = heif.box(b"ftyp", b"hevc", bytes(4), b"msf1") + heif.box(b"moov", bytes(100))
        assert reason(film).startswith("corrupt: ")


class TestLimits:
    @pytest.mark.parametrize("size_px", [(30_000, 30_000), (12_000, 12_000)])
    def test_a_size_beyond_the_limit_is_refused(self, size_px: tuple[int, int]) -> None:
        file = heif.file_of([heif.coded(PHOTO, size_px=size_px)])
        assert reason(file).startswith(f"too_many_pixels: {size_px[0]} x {size_px[1]} pixels")

    def test_the_size_of_a_tile_counts_as_well(self) -> None:
        first, *others = tiles()
        large = heif.Item(
            kind=b"hvc1", data=first.data, properties=(first.properties[0], heif.ispe(20_000, 20_000))
        )
        file = heif.file_of([large, *others, heif.grid(PHOTO.size, 3, range(1, 7))], primary=7)
        assert reason(file).startswith("too_many_pixels: 20000 x 20000")

    def test_the_tiles_together_are_limited(self) -> None:
        file = heif.file_of([tiles()[0], heif.grid(PHOTO.size, 250, [1] * 60_000)], primary=2)
        assert reason(file).startswith("too_costly: 60000 tiles")

    def test_the_limit_of_a_worker_holds(self) -> None:
        assert reason(heif.file_of([CODED]), limits=DecodeLimits(max_pixels=1000)).startswith(
            "too_many_pixels"
        )

    def test_a_size_of_nothing_is_refused(self) -> None:
        assert reason(heif.file_of([heif.coded(PHOTO, size_px=(0, 5))])) == "zero_size: 0 x 5 pixels"

    def test_pieces_without_bytes_are_limited(self) -> None:
        places = b"\0\1\0\0\xff\xff" * 1000
        location = heif.box(b"iloc", bytes(4), b"\0\0", b"\x03\xe8", places)
        file = heif.box(b"ftyp", b"heic", bytes(4)) + heif.box(b"meta", bytes(4), location)
        assert reason(file).startswith("too_costly: ")


class TestBrokenFiles:
    WHOLE = heif.file_of([CODED])

    @pytest.mark.parametrize("kept", [20, 40, 200, 330, 0.5, -1], ids=str)
    def test_a_file_that_was_cut_is_truncated(self, kept: float) -> None:
        end = int(len(self.WHOLE) * kept) if isinstance(kept, float) else int(kept)
        assert reason(self.WHOLE[:end]).startswith("truncated: ")

    @pytest.mark.parametrize("kept", [0.5, 0.99])
    def test_a_file_whose_data_are_still_to_come_is_truncated(self, kept: float) -> None:
        at = int(len(self.WHOLE) * kept)
        assert reason(self.WHOLE[:at] + bytes(len(self.WHOLE) - at)).startswith(
            "truncated: nothing but zeros"
        )

    def test_a_tile_that_is_missing_is_found(self) -> None:
        file = heif.file_of([*tiles()[:5], heif.grid(PHOTO.size, 3, [1, 2, 3, 4, 5, 9])], primary=6)
        assert reason(file).startswith("corrupt: ")

    @pytest.mark.parametrize(
        "after",
        [bytes(40), b"\n", heif.box(b"mpvd", b"a film"), b"SEFT" * 10],
        ids=["zeros", "line", "box", "other"],
    )
    def test_what_a_phone_appends_does_not_matter(self, after: bytes) -> None:
        assert difference(self.WHOLE + after, PHOTO) < RIGHT

    def test_a_depth_that_the_coded_picture_does_not_have_ends_no_process(self) -> None:
        whole = heif.coded(PHOTO.convert("L"))
        configuration = bytearray(whole.properties[0])
        # The depth of luma in the decoder's configuration, less 8 (ISO/IEC 14496-15, 8.3.3.1).
        configuration[8 + 17] |= 1
        file = heif.file_of([replace(whole, properties=(bytes(configuration), *whole.properties[1:]))])
        assert reason(file).startswith("corrupt: ")

    @pytest.mark.parametrize("kind", [b"E\xeaif", b"mime"])
    def test_names_that_are_not_text_end_no_process(self, kind: bytes) -> None:
        note = heif.Item(kind=kind, data=b"data", references=((b"cdsc", (1,)),))
        file = heif.file_of([CODED, note])
        at = file.index(b"infe", file.index(b"infe") + 4)
        assert reason(file[: at + 16] + b"\xff" + file[at + 17 :]).startswith("corrupt: ")

    @pytest.mark.parametrize("seed", range(40))
    def test_damage_outside_of_the_coded_picture_is_refused_in_words_or_harmless(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        file = bytearray(self.WHOLE)
        for at in random.integers(0, len(self.WHOLE) - len(CODED.data), 3):
            file[at] = random.integers(256)
        refused = outcome(bytes(file))
        assert "Error" not in refused
        assert "Exception" not in refused


def outcome(encoded: bytes) -> str:
    """Return why a file is refused; empty if it is not."""
    try:
        decoded(encoded)
    except Rejected as rejected:
        return str(rejected)
    return ""
