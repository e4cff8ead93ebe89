"""The orientation in EXIF data, as cameras, phones and editors leave them."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from panopticon.cards.cards import Input, Preprocessing
from panopticon.images.decoding import decode
from panopticon.images.readers.exif import orientation_of
from panopticon.images.readers.ifd import tags
from tests import pictures

PREFIX = b"Exif\0\0"
SIDEWAYS = PREFIX + pictures.tiff([(tags.ORIENTATION, 3, 1, 6)])
UPRIGHT = PREFIX + pictures.tiff([(tags.ORIENTATION, 3, 1, 1)])
XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"Exif\0\0II*\0"
PLAIN = pictures.encoded(pictures.photo(48, 24), "JPEG")


def big_endian(*tags: tuple[int, int, int, bytes]) -> bytes:
    entries = b"".join(struct.pack(">HHL", *tag[:3]) + tag[3] for tag in tags)
    return b"MM\0*" + struct.pack(">LH", 8, len(tags)) + entries + bytes(4)


def with_app1(*bodies: bytes, jpeg: bytes = PLAIN) -> bytes:
    """Return the JPEG with APP1 segments after its first mark."""
    segments = (b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body for body in bodies)
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def is_turned(jpeg: bytes) -> bool:
    decoded = decode(jpeg, input=Input(width_px=8, height_px=8), preprocessing=Preprocessing())
    return (decoded.width_px, decoded.height_px) == (24, 48)


@pytest.mark.parametrize("prefix", [b"", PREFIX, PREFIX * 2, b"Exif\0\xff"])
def test_orientation_is_read_without_the_prefix_and_with_one_or_two(prefix: bytes) -> None:
    assert orientation_of(prefix + pictures.tiff([(tags.ORIENTATION, 3, 1, 8)])) == 8


def test_orientation_is_read_next_to_a_broken_tag() -> None:
    broken = (271, 2, 500, 2**31)
    assert orientation_of(pictures.tiff([broken, (tags.ORIENTATION, 3, 1, 3)])) == 3


def test_orientation_is_read_from_a_directory_that_ends_early() -> None:
    whole = pictures.tiff([(tags.ORIENTATION, 3, 1, 3), (305, 2, 4, 0), (306, 2, 4, 0)])
    assert orientation_of(whole[:30]) == 3


@pytest.mark.parametrize(
    ("kind", "value"),
    [(1, b"\x06\0\0\0"), (3, b"\0\x06\0\0"), (4, b"\0\0\0\x06")],
    ids=["byte", "short", "long"],
)
def test_orientation_may_be_a_number_of_any_width(kind: int, value: bytes) -> None:
    assert orientation_of(big_endian((tags.ORIENTATION, kind, 1, value))) == 6


@pytest.mark.parametrize("kind", [2, 5, 7, 12, 99])
def test_an_orientation_that_is_not_a_whole_number_is_upright(kind: int) -> None:
    assert orientation_of(pictures.tiff([(tags.ORIENTATION, kind, 1, 6)])) == 1


def test_an_orientation_without_a_value_is_upright() -> None:
    assert orientation_of(pictures.tiff([(tags.ORIENTATION, 3, 0, 6)])) == 1


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_does_not_exist_is_upright(value: int) -> None:
    assert orientation_of(pictures.tiff([(tags.ORIENTATION, 3, 1, value)])) == 1


def test_the_orientation_of_the_thumbnail_is_not_that_of_the_picture() -> None:
    directories = [[(271, 2, 4, 0)], [(tags.ORIENTATION, 3, 1, 6)]]
    first, second = (
        struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", *tag) for tag in tags)
        for tags in directories
    )
    second_at = 8 + len(first) + 4
    exif = b"II*\0" + struct.pack("<L", 8) + first + struct.pack("<L", second_at) + second + bytes(4)
    assert orientation_of(exif) == 1


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0", b"Exif\0\0II*\0\x08\0\0\0"])
)
def test_any_exif_gives_one_of_the_eight_orientations(rest: bytes, head: bytes) -> None:
    assert 1 <= orientation_of(head + rest) <= 8


@pytest.mark.parametrize(
    "bodies",
    [
        [SIDEWAYS],
        [PREFIX + SIDEWAYS],
        [XMP, SIDEWAYS],
        [EXTENDED_XMP, SIDEWAYS],
        [SIDEWAYS, UPRIGHT],
        [PREFIX + big_endian((tags.ORIENTATION, 3, 1, b"\0\x06\0\0"))],
    ],
    ids=["alone", "prefix twice", "after XMP", "after extended XMP", "first of two", "big-endian"],
)
def test_a_jpeg_is_turned_by_its_first_exif_segment(bodies: list[bytes]) -> None:
    assert is_turned(with_app1(*bodies))


def test_a_second_exif_segment_does_not_turn_a_jpeg() -> None:
    assert not is_turned(with_app1(UPRIGHT, SIDEWAYS))


def test_exif_between_the_tables_of_a_jpeg_is_found() -> None:
    at = PLAIN.index(b"\xff\xc4")
    assert is_turned(PLAIN[:at] + with_app1(SIDEWAYS)[2 : 2 + 4 + len(SIDEWAYS)] + PLAIN[at:])


def test_exif_after_the_end_of_the_picture_is_not_looked_at() -> None:
    assert not is_turned(PLAIN + with_app1(SIDEWAYS))


def test_a_thumbnail_within_exif_is_not_taken_for_the_picture() -> None:
    thumbnail = pictures.encoded(Image.new("RGB", (8, 8), "red"), "JPEG")
    dressed = with_app1(SIDEWAYS + thumbnail)
    assert is_turned(dressed)
    pixels = decode(dressed, input=Input(width_px=8, height_px=8), preprocessing=Preprocessing()).pixels
    assert not np.array_equal(pixels, np.full((8, 8, 3), (254, 0, 0)))
