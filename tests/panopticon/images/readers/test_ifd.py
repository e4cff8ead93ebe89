import struct

import pytest

from panopticon.images.readers.ifd import directories, tags
from panopticon.images.readers.ifd.directories import DirectoryError, directory_at
from tests import pictures


def test_values_are_read_in_both_byte_orders() -> None:
    little = b"II*\0" + struct.pack("<LHHHLHHL", 8, 1, tags.ORIENTATION, 3, 1, 6, 0, 0)
    big = b"MM\0*" + struct.pack(">LHHHLHHL", 8, 1, tags.ORIENTATION, 3, 1, 6, 0, 0)
    assert [directory_at(file).values(tags.ORIENTATION) for file in (little, big)] == [(6,), (6,)]


def test_values_of_a_big_tiff_are_read() -> None:
    big_tiff = b"II+\0" + struct.pack("<HHQQHHQQQ", 8, 0, 16, 1, tags.WIDTH, 16, 1, 2**40, 0)
    assert directory_at(big_tiff).values(tags.WIDTH) == (2**40,)


@pytest.mark.parametrize("kind", [4, 13])
def test_offsets_of_directories_are_numbers_too(kind: int) -> None:
    assert directory_at(pictures.tiff([(330, kind, 1, 99)])).values(330) == (99,)


def test_offsets_of_directories_of_a_big_tiff_are_numbers_too() -> None:
    big_tiff = b"II+\0" + struct.pack("<HHQQHHQQQ", 8, 0, 16, 1, 330, 18, 1, 2**40, 0)
    assert directory_at(big_tiff).values(330) == (2**40,)


def test_all_values_of_a_tag_are_read() -> None:
    bits = pictures.tiff([(tags.BITS_PER_SAMPLE, 3, 3, 26)], struct.pack("<HHH", 5, 6, 7))
    directory = directory_at(bits)
    assert directory.values(tags.BITS_PER_SAMPLE) == (5, 6, 7)
    assert directory.first(tags.BITS_PER_SAMPLE) == 5


def test_no_more_values_are_read_than_a_picture_needs() -> None:
    many = pictures.tiff([(40_000, 1, directories.MAX_VALUES + 5, 26)], bytes(directories.MAX_VALUES + 5))
    assert len(directory_at(many).values(40_000)) == directories.MAX_VALUES


def test_a_tag_that_is_missing_has_no_values() -> None:
    directory = directory_at(pictures.tiff([(2, 4, 1, 65)]))
    assert directory.values(1) == ()
    assert directory.first(1, 7) == 7
    assert directory.raw(1) is None


def test_a_tag_holds_either_numbers_or_bytes() -> None:
    numbers, text = (directory_at(pictures.tiff([(2, kind, 1, 65)])) for kind in (4, 2))
    assert (numbers.values(2), numbers.raw(2)) == ((65,), None)
    assert (text.values(2), text.raw(2)) == ((), b"A")


@pytest.mark.parametrize(
    "tag", [(256, 4, 1000, 8), (40_000, 1, 2**31, 8), (40_000, 2, 100, 2**32 - 1)], ids=str
)
def test_a_value_past_the_end_is_an_error(tag: tuple[int, int, int, int]) -> None:
    with pytest.raises(DirectoryError) as raised:
        directory_at(pictures.tiff([tag]))
    assert raised.value.truncated


def test_several_values_of_a_single_valued_tag_are_an_error() -> None:
    with pytest.raises(DirectoryError, match="2 values"):
        directory_at(pictures.tiff([(tags.WIDTH, 3, 2, 5)]))


def test_a_directory_that_claims_too_many_entries_is_an_error() -> None:
    with pytest.raises(DirectoryError) as raised:
        directory_at(b"II*\0" + struct.pack("<LH", 8, 65535) + bytes(100))
    assert raised.value.truncated


def test_values_that_overlap_are_an_error() -> None:
    with pytest.raises(DirectoryError, match="overlap"):
        directory_at(pictures.tiff([(40_000 + index, 1, 60, 8) for index in range(5)]))
