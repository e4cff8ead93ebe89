import struct

import pytest

from panopticon.images.readers import tiff_ifd
from panopticon.images.readers.tiff_ifd import DirectoryError, first_directory
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


def test_values_that_overlap_are_an_error() -> None:
    with pytest.raises(DirectoryError, match="overlap"):
        first_directory(pictures.tiff([(40_000 + index, 1, 60, 8) for index in range(5)]))
