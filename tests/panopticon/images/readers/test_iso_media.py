"""The lists of HEIF and AVIF files, in every width of their numbers."""

from __future__ import annotations

import struct

import pytest

from panopticon.errors import Rejected
from panopticon.images.readers.iso_media.boxes import Box, Numbers, boxes
from panopticon.images.readers.iso_media.items import Extent, Kind, items_of
from tests.heif import box, ispe

FTYP = box(b"ftyp", b"heic", bytes(4))
SIZE = ispe(64, 48)


def file_of(*inner: bytes, data: bytes = b"") -> bytes:
    return FTYP + box(b"meta", bytes(4), *inner) + data


def rejection_of(encoded: bytes) -> str:
    with pytest.raises(Rejected) as raised:
        items_of(encoded)
    return str(raised.value)


class TestBoxes:
    def test_a_size_may_have_four_bytes_or_eight_or_reach_to_the_end(self) -> None:
        long = struct.pack(">I4sQ", 1, b"long", 18) + b"ab"
        endless = struct.pack(">I4s", 0, b"rest") + b"xyz"
        encoded = box(b"tiny", b"a") + long + endless
        assert list(boxes(encoded, 0, len(encoded))) == [
            Box(b"tiny", 8, 9),
            Box(b"long", 25, 27),
            Box(b"rest", 35, 38),
        ]

    def test_an_empty_box_is_one(self) -> None:
        assert list(boxes(box(b"none") * 2, 0, 16)) == [Box(b"none", 8, 8), Box(b"none", 16, 16)]
        assert list(boxes(struct.pack(">I4sQ", 1, b"long", 16), 0, 16)) == [Box(b"long", 16, 16)]

    @pytest.mark.parametrize("padding_bytes", range(8))
    def test_bytes_too_few_for_a_box_are_padding(self, padding_bytes: int) -> None:
        encoded = box(b"tiny") + b"\xff" * padding_bytes
        assert list(boxes(encoded, 0, len(encoded))) == [Box(b"tiny", 8, 8)]

    def test_a_long_size_that_is_cut_is_padding(self) -> None:
        encoded = struct.pack(">I4sQ", 1, b"long", 16)[:-1]
        assert list(boxes(encoded, 0, len(encoded))) == []

    @pytest.mark.parametrize("head", [struct.pack(">I4s", 7, b"tiny"), struct.pack(">I4sQ", 1, b"long", 15)])
    def test_a_size_below_that_of_its_beginning_is_corrupt(self, head: bytes) -> None:
        with pytest.raises(Rejected, match="^corrupt: the file is damaged: its part at byte 0 has "):
            list(boxes(head + bytes(20), 0, len(head) + 20))

    def test_a_box_past_the_end_of_the_file_is_truncated(self) -> None:
        with pytest.raises(Rejected, match="^truncated: .* its part at byte 9 lacks 2 bytes"):
            list(boxes(box(b"tiny", b"a") + box(b"tiny", b"abc")[:-2], 0, 18))

    def test_a_box_past_the_end_of_another_is_corrupt(self) -> None:
        with pytest.raises(Rejected, match="^corrupt: .* its part at byte 0 lacks 2 bytes"):
            list(boxes(box(b"tiny", b"abc"), 0, 9))


def test_numbers_are_taken_one_after_the_other_up_to_the_end_of_their_box() -> None:
    numbers = Numbers(b"\0\1\2\3\4\5\6\7", Box(b"some", 1, 7))
    assert [numbers.take(width) for width in (1, 2, 0, 3)] == [1, 0x0203, 0, 0x040506]
    with pytest.raises(Rejected, match="^corrupt: "):
        numbers.take(1)


class TestPrimary:
    @pytest.mark.parametrize(("version", "letter"), [(0, "H"), (1, "I")])
    def test_it_is_read_in_both_widths(self, version: int, letter: str) -> None:
        items = items_of(file_of(box(b"pitm", bytes([version, 0, 0, 0]), struct.pack(f">{letter}", 513))))
        assert items is not None
        assert items.primary == 513

    def test_without_one_it_is_none(self) -> None:
        items = items_of(file_of())
        assert items is not None
        assert (items.primary, items.kinds, items.extents, items.properties, items.parts) == (
            0,
            (),
            (),
            {},
            {},
        )

    def test_a_film_has_no_items(self) -> None:
        assert items_of(FTYP + box(b"moov")) is None


class TestKinds:
    def test_they_are_read_in_both_widths(self) -> None:
        narrow = box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", 513, 0, b"hvc1"), b"name\0")
        wide = box(b"infe", b"\3\0\0\0", struct.pack(">IH4s", 70_000, 0, b"mime"), b"a\0text\0")
        kinds = (Kind(513, b"hvc1", b"name\0"), Kind(70_000, b"mime", b"a\0text\0"))
        for count in (b"\0\0\0\0" + struct.pack(">H", 2), b"\1\0\0\0" + struct.pack(">I", 2)):
            items = items_of(file_of(box(b"iinf", count, narrow, wide)))
            assert items is not None
            assert items.kinds == kinds

    def test_an_entry_of_an_old_version_has_no_type(self) -> None:
        old = box(b"infe", bytes(4), struct.pack(">HH", 1, 0), b"name\0type\0\0")
        items = items_of(file_of(box(b"iinf", bytes(4), struct.pack(">H", 1), old)))
        assert items is not None
        assert items.kinds == ()


class TestProperties:
    @pytest.mark.parametrize(("version", "item"), [(0, "H"), (1, "I")])
    @pytest.mark.parametrize(("flags", "index", "essential"), [(0, "B", 0x80), (1, "H", 0x8000)])
    def test_they_are_read_in_all_widths(
        self, version: int, item: str, flags: int, index: str, essential: int
    ) -> None:
        entries = struct.pack(f">I{item}B2{index}", 2, 7, 2, 2 | essential, 1) + struct.pack(
            f">{item}B", 9, 0
        )
        of_items = box(b"ipma", bytes([version, 0, 0, flags]), entries)
        items = items_of(file_of(box(b"iprp", box(b"ipco", SIZE, box(b"irot", b"\1")), of_items)))
        assert items is not None
        assert {
            item: [prop.kind for prop in properties] for item, properties in items.properties.items()
        } == {
            7: [b"irot", b"ispe"],
            9: [],
        }

    def test_an_index_of_no_property_is_skipped(self) -> None:
        of_items = box(b"ipma", bytes(4), struct.pack(">IHB3B", 1, 7, 3, 0, 1, 2))
        items = items_of(file_of(box(b"iprp", box(b"ipco", SIZE), of_items)))
        assert items is not None
        assert [prop.kind for prop in items.properties[7]] == [b"ispe"]

    def test_they_are_limited(self) -> None:
        def with_more(count: int) -> bytes:
            entries = (b"\0\1\xc8" + bytes(200)) * 500 + b"\0\2" + bytes([count]) + bytes(count)
            return file_of(
                box(b"iprp", box(b"ipco"), box(b"ipma", bytes(4), struct.pack(">I", 501), entries))
            )

        assert items_of(with_more(0)) is not None
        assert rejection_of(with_more(1)).startswith("too_costly: more than 100000 properties")


class TestExtents:
    """The data of an item begin at the start of these files, whose first bytes are their type."""

    @pytest.mark.parametrize("version", [0, 1, 2])
    @pytest.mark.parametrize("index_bytes", [0, 4])
    def test_they_are_read_in_all_versions(self, version: int, index_bytes: int) -> None:
        item = struct.pack(">I" if version == 2 else ">H", 513)
        method = struct.pack(">H", 0) if version else b""
        index = bytes(index_bytes) if version else b""
        places = index + struct.pack(">HI", 4, 6) + index + struct.pack(">HI", 1, 0)
        entry = item + method + struct.pack(">HQH", 0, 3, 2) + places
        count = struct.pack(">I" if version == 2 else ">H", 1)
        widths = bytes([0x24, 0x80 | (index_bytes if version else 0)])
        file = file_of(box(b"iloc", bytes([version, 0, 0, 0]), widths, count, entry))
        items = items_of(file)
        assert items is not None
        assert items.extents == (Extent(513, 7, 13), Extent(513, 4, len(file)))

    @pytest.mark.parametrize(("method", "file_number"), [(1, 0), (2, 0), (0, 1)])
    def test_those_that_are_not_in_the_file_are_left_out(self, method: int, file_number: int) -> None:
        entry = struct.pack(">HHHHII", 1, method, file_number, 1, 99_999, 99_999)
        items = items_of(file_of(box(b"iloc", b"\1\0\0\0", b"\x44\0", struct.pack(">H", 1), entry)))
        assert items is not None
        assert items.extents == ()

    def test_one_may_reach_to_the_end_of_the_file_and_no_further(self) -> None:
        def with_length(length: int) -> bytes:
            entry = struct.pack(">HHHII", 1, 0, 1, 10, length)
            return file_of(box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", 1), entry))

        file_bytes = len(with_length(0))
        items = items_of(with_length(file_bytes - 10))
        assert items is not None
        assert items.extents == (Extent(1, 10, file_bytes),)
        assert rejection_of(with_length(file_bytes - 9)).startswith("truncated: ")

    def test_they_are_limited(self) -> None:
        def with_more(count: int) -> bytes:
            entries = struct.pack(">HHH", 1, 0, 50_000) * 2 + struct.pack(">HHH", 2, 0, count)
            return file_of(box(b"iloc", bytes(4), b"\0\0", struct.pack(">H", 3), entries))

        assert items_of(with_more(0)) is not None
        assert rejection_of(with_more(1)).startswith("too_costly: more than 100000 pieces")


class TestParts:
    @pytest.mark.parametrize(("version", "letter"), [(0, "H"), (1, "I")])
    def test_the_tiles_of_a_picture_are_read_in_both_widths(self, version: int, letter: str) -> None:
        tiles = box(b"dimg", struct.pack(f">{letter}H2{letter}", 7, 2, 1, 513))
        other = box(b"auxl", struct.pack(f">{letter}H{letter}", 8, 1, 7))
        items = items_of(file_of(box(b"iref", bytes([version, 0, 0, 0]), other, tiles)))
        assert items is not None
        assert items.parts == {7: (1, 513)}
