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


@pytest.mark.parametrize("tag", [256, 257, 259, 262, 266, 274, 277, 278, 282, 283, 284, 296, 322, 323])
def test_several_values_of_a_single_valued_tag_are_an_error(tag: int) -> None:
    with pytest.raises(DirectoryError, match=f"tag {tag} has 2 values"):
        directory_at(pictures.tiff([(tag, 3, 2, 5)]))


@pytest.mark.parametrize("tag", [347, 34675])
def test_numbers_in_a_tag_of_bytes_are_an_error(tag: int) -> None:
    with pytest.raises(DirectoryError, match=f"tag {tag} has values of kind 3 instead of bytes"):
        directory_at(pictures.tiff([(tag, 3, 2, 5)]))


@pytest.mark.parametrize("kind", [1, 2, 7])
def test_a_tag_of_bytes_may_have_any_kind_of_bytes(kind: int) -> None:
    assert directory_at(pictures.tiff([(34675, kind, 3, 0x636261)])).raw(34675) == b"abc"


def test_values_that_end_with_the_file_are_read() -> None:
    whole = pictures.tiff([(tags.BITS_PER_SAMPLE, 3, 3, 26)], struct.pack("<HHH", 5, 6, 7))
    assert directory_at(whole).values(tags.BITS_PER_SAMPLE) == (5, 6, 7)
    with pytest.raises(DirectoryError) as raised:
        directory_at(whole[:-1])
    assert raised.value.truncated


def test_the_first_of_two_entries_of_a_tag_counts() -> None:
    twice = pictures.tiff([(tags.WIDTH, 3, 1, 5), (tags.WIDTH, 3, 1, 6)])
    assert directory_at(twice).values(tags.WIDTH) == (5,)


@pytest.mark.parametrize("file", [b"", b"II", b"II*\0", b"II+\0\x08\0\0\0\x10\0"])
def test_a_file_that_ends_within_its_header_is_truncated(file: bytes) -> None:
    with pytest.raises(DirectoryError) as raised:
        directory_at(file)
    assert raised.value.truncated == bool(file)


BIG = b"II+\0" + struct.pack("<HHQ", 8, 0, 16)


@pytest.mark.parametrize(
    ("head", "word", "count"), [(b"II*\0" + struct.pack("<L", 8), "L", "H"), (BIG, "Q", "Q")]
)
def test_another_directory_can_be_made_the_first(head: bytes, word: str, count: str) -> None:
    directory = [
        struct.pack(f"<{count}HH{word}{word}{word}", 1, tags.WIDTH, 3, 1, width_px, 0) for width_px in (5, 6)
    ]
    file = head + b"".join(directory)
    second_at = len(head) + len(directory[0])
    changed = directories.starting_at(file, second_at)
    assert directory_at(file).values(tags.WIDTH) == (5,)
    assert directory_at(changed).values(tags.WIDTH) == (6,)
    assert (len(changed), changed[second_at:]) == (len(file), file[second_at:])
    assert directories.starting_at(file, len(head)) is file


def chain(count: int) -> bytes:
    """Return a file of so many directories, the width in each of which is its number."""
    size = 2 + 12 + 4
    links = [8 + size * (number + 1) if number + 1 < count else 0 for number in range(count)]
    return b"II*\0" + b"".join(
        [
            struct.pack("<L", 8),
            *(struct.pack("<HHHLLL", 1, tags.WIDTH, 3, 1, number, link) for number, link in enumerate(links)),
        ]
    )


def test_the_values_of_all_directories_of_a_file_are_found() -> None:
    found = [values[tags.WIDTH] for values in directories.values_by_directory(chain(3))]
    assert found == [(0,), (1,), (2,)]


def test_no_more_directories_are_looked_at_than_a_camera_writes() -> None:
    assert len(list(directories.values_by_directory(chain(500)))) == 32


def test_directories_inside_another_are_found() -> None:
    inside = struct.pack("<HHHLLL", 1, tags.WIDTH, 3, 1, 7, 0)
    whole = pictures.tiff([(tags.SUB_DIRECTORIES, 4, 1, 26)], inside)
    assert {tags.WIDTH: (7,)} in list(directories.values_by_directory(whole))


def test_values_past_the_end_are_missing_and_others_of_the_directory_are_not() -> None:
    broken = pictures.tiff([(tags.BITS_PER_SAMPLE, 3, 3, 9999), (tags.WIDTH, 3, 1, 7)])
    assert list(directories.values_by_directory(broken)) == [{tags.WIDTH: (7,)}]


def test_the_values_of_a_directory_are_found_up_to_sixteen_of_a_tag() -> None:
    many = pictures.tiff([(40_000, 3, 20, 26)], struct.pack("<20H", *range(20)))
    assert list(directories.values_by_directory(many)) == [{40_000: tuple(range(16))}]


def test_a_file_that_ends_before_the_values_of_a_tag_is_truncated() -> None:
    whole = pictures.tiff([(tags.BITS_PER_SAMPLE, 3, 3, 26)], struct.pack("<HHH", 5, 6, 7))
    directories.check_values(whole)
    with pytest.raises(DirectoryError, match="the values of its tag 258") as raised:
        directories.check_values(whole[:-1])
    assert raised.value.truncated


def test_what_is_not_a_directory_at_the_place_of_the_next_one_lacks_no_values() -> None:
    tag = struct.pack("<HHHLL", 1, tags.WIDTH, 3, 1, 7)
    odd = struct.pack("<HHHLLHHLLL", 2, 40_000, 99, 1, 0, 40_001, 3, 99, 9999, 0)
    directories.check_values(b"II*\0" + struct.pack("<L", 8) + tag + struct.pack("<L", 26) + odd)


def test_a_whole_number_is_found_next_to_broken_tags() -> None:
    file = pictures.tiff([(256, 4, 1000, 99_999), (tags.ORIENTATION, 3, 1, 6), (300, 2, 1, 65)])
    assert directories.whole_number(file, tags.ORIENTATION) == 6
    assert directories.whole_number(file, 300) is None
    assert directories.whole_number(file, 301) is None


def test_a_directory_that_claims_too_many_entries_is_an_error() -> None:
    with pytest.raises(DirectoryError) as raised:
        directory_at(b"II*\0" + struct.pack("<LH", 8, 65535) + bytes(100))
    assert raised.value.truncated


def test_values_that_overlap_are_an_error() -> None:
    with pytest.raises(DirectoryError, match="overlap"):
        directory_at(pictures.tiff([(40_000 + index, 1, 60, 8) for index in range(5)]))
