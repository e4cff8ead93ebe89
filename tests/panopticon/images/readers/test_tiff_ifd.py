import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.images.readers import tiff_ifd
from panopticon.images.readers.tiff_ifd import DirectoryError, first_directory, orientation_of
from tests import pictures


def test_values_are_read_in_both_byte_orders() -> None:
    little = b"II*\0" + struct.pack("<LHHHLHHL", 8, 1, tiff_ifd.ORIENTATION, 3, 1, 6, 0, 0)
    big = b"MM\0*" + struct.pack(">LHHHLHHL", 8, 1, tiff_ifd.ORIENTATION, 3, 1, 6, 0, 0)
    assert first_directory(little) == first_directory(big) == {tiff_ifd.ORIENTATION: 6}


def test_values_of_a_big_tiff_are_read() -> None:
    big_tiff = b"II+\0" + struct.pack("<HHQQHHQQQ", 8, 0, 16, 1, tiff_ifd.WIDTH, 16, 1, 2**40, 0)
    assert first_directory(big_tiff) == {tiff_ifd.WIDTH: 2**40}


def test_the_first_of_several_values_elsewhere_is_read() -> None:
    bits = pictures.tiff([(tiff_ifd.BITS_PER_SAMPLE, 3, 3, 26)], struct.pack("<HHH", 12, 12, 12))
    assert first_directory(bits) == {tiff_ifd.BITS_PER_SAMPLE: 12}


@pytest.mark.parametrize(
    "tag", [(256, 4, 1000, 8), (40_000, 1, 2**31, 8), (40_000, 2, 100, 2**32 - 1)], ids=str
)
def test_a_value_past_the_end_is_an_error(tag: tuple[int, int, int, int]) -> None:
    with pytest.raises(DirectoryError) as raised:
        first_directory(pictures.tiff([tag]))
    assert raised.value.truncated


def test_several_values_of_a_single_valued_tag_are_an_error() -> None:
    with pytest.raises(DirectoryError, match="2 values"):
        first_directory(pictures.tiff([(tiff_ifd.WIDTH, 3, 2, 5)]))


def test_a_directory_that_claims_too_many_entries_is_an_error() -> None:
    with pytest.raises(DirectoryError) as raised:
        first_directory(b"II*\0" + struct.pack("<LH", 8, 65535) + bytes(100))
    assert raised.value.truncated


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_orientation_is_read_with_and_without_the_jpeg_prefix(prefix: bytes) -> None:
    assert orientation_of(prefix + pictures.tiff([(tiff_ifd.ORIENTATION, 3, 1, 8)])) == 8


def test_orientation_is_read_next_to_a_broken_tag() -> None:
    broken = (271, 2, 500, 2**31)
    assert orientation_of(pictures.tiff([broken, (tiff_ifd.ORIENTATION, 3, 1, 3)])) == 3


def test_orientation_is_read_from_a_directory_that_ends_early() -> None:
    whole = pictures.tiff([(tiff_ifd.ORIENTATION, 3, 1, 3), (305, 2, 4, 0), (306, 2, 4, 0)])
    assert orientation_of(whole[:30]) == 3


def test_values_that_overlap_are_an_error() -> None:
    with pytest.raises(DirectoryError, match="overlap"):
        first_directory(pictures.tiff([(40_000 + index, 1, 60, 8) for index in range(5)]))


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_does_not_exist_is_upright(value: int) -> None:
    assert orientation_of(pictures.tiff([(tiff_ifd.ORIENTATION, 3, 1, value)])) == 1


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0", b"Exif\0\0II*\0\x08\0\0\0"])
)
def test_any_exif_gives_one_of_the_eight_orientations(rest: bytes, head: bytes) -> None:
    assert 1 <= orientation_of(head + rest) <= 8
