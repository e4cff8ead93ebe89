from __future__ import annotations

import io
import logging
import struct
import time
import tracemalloc
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from panopticon.exif.bounded_file import MAX_READ_BYTES
from panopticon.exif.capture_time import capture_time
from tests.panopticon.exif.samples import (
    CONTAINERS,
    MARK,
    cr3_with,
    exif,
    gps_time,
    heif_with,
    jpeg,
    jpeg_with,
    png_with,
    segment,
    taken,
)

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
TAKEN = datetime(2019, 7, 1, 10, 20, 30, tzinfo=UTC)


def time_of(encoded: bytes) -> datetime | None:
    return capture_time(io.BytesIO(encoded), now=NOW)


def time_written(text: str, **others: bytes) -> datetime | None:
    return time_of(jpeg_with(exif(taken(text, **others))))


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_time_is_read_from_every_container(container: Callable[[bytes], bytes], order: str) -> None:
    assert time_of(container(exif(taken(), order=order))) == TAKEN


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_a_picture_without_a_time_has_none(container: Callable[[bytes], bytes]) -> None:
    assert time_of(container(exif({}, first={0x010F: b"Canon"}))) is None


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_time_is_read_from_what_pillow_writes(name: str) -> None:
    made = io.BytesIO()
    tags = Image.Exif()
    tags.load(MARK + exif(taken(zone=b"+02:00")))
    Image.new("RGB", (8, 8)).save(made, name, exif=tags)
    assert time_of(made.getvalue()) == TAKEN - timedelta(hours=2)


def test_the_time_of_the_last_change_is_not_that_of_the_taking() -> None:
    assert time_of(jpeg_with(exif({}, first={0x0132: b"2019:07:01 10:20:30"}))) is None


def test_without_a_time_of_the_taking_that_of_the_digitising_is_used() -> None:
    both = {0x9004: b"2019:07:01 10:20:30", 0x9292: b"5", 0x9012: b"+02:00"}
    assert time_of(jpeg_with(exif(both))) == TAKEN - timedelta(hours=2) + timedelta(seconds=0.5)
    assert time_of(jpeg_with(exif({**both, **taken("2018:01:01 00:00:00")}))) == datetime(
        2018, 1, 1, tzinfo=UTC
    )


def test_the_first_directory_may_have_the_time() -> None:
    assert time_of(exif({}, first=taken())) == TAKEN


def test_the_time_is_read_from_a_tiff_with_wide_positions() -> None:
    text = b"2019:07:01 10:20:30\0"
    inner = struct.pack("<QHHQQQ", 1, 0x9003, 2, len(text), 16 + 36 + 36, 0)
    first = struct.pack("<QHHQQQ", 1, 0x8769, 16, 1, 16 + 36, 0)
    assert time_of(b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + first + inner + text) == TAKEN


class TestZones:
    def test_a_time_without_a_zone_is_taken_for_utc(self) -> None:
        assert time_written("2019:07:01 10:20:30") == TAKEN

    @pytest.mark.parametrize("zone", [b"+02:00", b"+0200", b"+02:00 \0"])
    def test_the_zone_is_obeyed(self, zone: bytes) -> None:
        assert time_written("2019:07:01 10:20:30", zone=zone) == TAKEN - timedelta(hours=2)

    @pytest.mark.parametrize(
        ("zone", "hours"), [(b"-05:00", -5), (b"-12:00", -12), (b"+14:00", 14), (b"Z", 0)]
    )
    def test_every_zone_of_the_earth_is_obeyed(self, zone: bytes, hours: int) -> None:
        assert time_written("2019:07:01 10:20:30", zone=zone) == TAKEN - timedelta(hours=hours)

    @pytest.mark.parametrize(
        "zone", [b"-12:01", b"+14:01", b"   :  ", b"", b"+15:00", b"-99:99", b"CET", b"+2"]
    )
    def test_an_impossible_zone_is_ignored(self, zone: bytes) -> None:
        assert time_written("2019:07:01 10:20:30", zone=zone) == TAKEN

    @pytest.mark.parametrize(("hours", "minutes"), [(8, 20), (8, 17), (8, 27)])
    def test_the_gps_time_gives_the_zone(self, hours: int, minutes: int) -> None:
        tiff = exif(taken(), gps=gps_time("2019:07:01", hours, minutes))
        assert time_of(jpeg_with(tiff)) == TAKEN.replace(tzinfo=timezone(timedelta(hours=2)))

    def test_the_zone_outweighs_the_gps_time(self) -> None:
        tiff = exif(taken(zone=b"+01:00"), gps=gps_time("2019:07:01", 8, 20))
        assert time_of(jpeg_with(tiff)) == TAKEN - timedelta(hours=1)

    @pytest.mark.parametrize(
        "gps", [gps_time("2019:06:20", 8, 20), gps_time("", 8, 20), gps_time("2019:13:01", 8, 20)]
    )
    def test_an_old_or_broken_gps_time_is_ignored(self, gps: dict[int, object]) -> None:
        assert time_of(jpeg_with(exif(taken(), gps=gps))) == TAKEN


@pytest.mark.parametrize(
    ("fraction", "milliseconds"),
    [(b"5", 500), (b"07", 70), (b"123456", 123), (b"", 0), (b" 25 ", 250), (b"x", 0)],
)
def test_the_fraction_of_the_second_counts(fraction: bytes, milliseconds: int) -> None:
    assert time_written("2019:07:01 10:20:30", fraction=fraction) == TAKEN + timedelta(
        milliseconds=milliseconds
    )


@pytest.mark.parametrize(
    "text",
    [
        "2019-07-01 10:20:30",
        "2019/07/01 10:20:30",
        "2019-07-01T10:20:30Z",
        "2019:07:01 12:20:30+02:00",
        " 2019:07:01 10:20:30 ",
    ],
)
def test_other_ways_of_writing_a_time_are_understood(text: str) -> None:
    assert time_written(text) == TAKEN


def test_a_fraction_may_be_written_with_the_time() -> None:
    assert time_written("2019:07:01 10:20:30.25", fraction=b"5") == TAKEN + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    "text",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "1970:01:01 00:00:00",
        "2019:02:30 10:20:30",
        "2019:07:01 24:00:00",
        "2019:07:01",
        "1825:12:31 23:59:59",
        "2026:12:02 12:00:01",
        "9999:12:31 23:59:59",
        "0001:01:01 00:00:00",
        "yesterday",
        "",
        "٢٠١٩:07:01 10:20:30",
    ],
)
def test_an_impossible_time_is_not_known(text: str) -> None:
    assert time_of(jpeg_with(exif({0x9003: text.encode().decode("latin-1").encode("latin-1")}))) is None


@pytest.mark.parametrize(
    "text", ["1826:01:01 00:00:00", "1944:06:06 06:30:00", "1969:12:31 23:59:59", "1970:01:01 00:00:01"]
)
def test_a_time_before_1970_is_a_time(text: str) -> None:
    assert time_written(text) == datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)


def test_a_camera_may_be_a_day_ahead() -> None:
    assert time_written("2026:12:02 11:59:59") == datetime(2026, 12, 2, 11, 59, 59, tzinfo=UTC)


class TestJpegs:
    def test_exif_may_follow_long_segments(self) -> None:
        xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(60_000))
        icc = segment(0xE2, bytes(65_000))
        assert time_of(jpeg(segment(0xE0, b"JFIF\0"), xmp, icc, segment(0xE1, MARK + exif(taken())))) == TAKEN

    def test_the_mark_may_be_doubled(self) -> None:
        assert time_of(jpeg(segment(0xE1, MARK * 2 + exif(taken())))) == TAKEN

    def test_the_first_exif_that_has_a_time_is_used(self) -> None:
        segments = [
            segment(0xE1, MARK + each)
            for each in (b"II*\0", exif({}), exif(taken()), exif(taken("2001:01:01 00:00:00")))
        ]
        assert time_of(jpeg(*segments)) == TAKEN

    def test_fill_bytes_are_skipped(self) -> None:
        assert time_of(jpeg(b"\xff\xff\xff" + segment(0xE1, MARK + exif(taken())))) == TAKEN

    def test_what_follows_the_scan_is_not_read(self) -> None:
        assert time_of(jpeg() + segment(0xE1, MARK + exif(taken()))) is None


SAMPLES = [
    make(exif(taken(zone=b"+02:00"), gps=gps_time("2019:07:01", 8, 20))) for make in CONTAINERS.values()
]


class TestHostileFiles:
    @given(
        st.sampled_from(SAMPLES),
        st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
        st.integers(0, 2000),
    )
    def test_a_damaged_file_has_a_time_or_none(
        self, sample: bytes, changes: list[tuple[int, int]], end: int
    ) -> None:
        damaged = bytearray(sample[: max(end, 1)] if end < 1900 else sample)
        for at, value in changes:
            damaged[at % len(damaged)] = value
        found = time_of(bytes(damaged))
        assert found is None or found.year >= 1826

    @given(st.binary(max_size=200))
    def test_any_bytes_have_none(self, encoded: bytes) -> None:
        assert time_of(encoded) is None

    @pytest.mark.parametrize(
        "encoded",
        [
            b"\xff\xd8" + b"\xff" * 2_000_000,
            b"\xff\xd8" + b"\xff\xd8" * 1_000_000,
            b"\xff\xd8" + segment(0xE1, MARK + MARK * 10_000) * 50,
            b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"IDAT" + bytes(4)) * 200_000,
            b"RIFF\0\0\0\0WEBP" + b"ABCD\0\0\0\0" * 200_000,
            b"\0\0\0\x10ftypheic" + bytes(4) + b"\0\0\0\x08free" * 200_000,
            b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x69\x87\x04\0\1\0\0\0\x08\0\0\0" * 65_535,
            b"II+\0\x08\0\0\0" + b"\xff" * 100,
            b"MM\0*\xff\xff\xff\xff",
        ],
        ids=["fill", "starts", "marks", "chunks", "riff", "boxes", "circle", "big", "beyond"],
    )
    def test_no_file_takes_long(self, encoded: bytes) -> None:
        began_s = time.process_time()
        assert time_of(encoded) is None
        assert time.process_time() - began_s < 0.5

    def test_a_table_of_extents_without_bytes_takes_no_time(self) -> None:
        places = bytes([1, 0, 0, 0, 0, 0]) + b"\xff\xff" + (b"\0\2\0\0\0\0\xff\xff" * 30_000)
        whole = heif_with(exif(taken()), version=1)
        at = whole.index(b"iloc") - 4
        box = (len(places) + 8).to_bytes(4) + b"iloc" + places
        meta_at = whole.index(b"meta") - 4
        meta = (at - meta_at + len(box)).to_bytes(4) + whole[meta_at + 4 : at] + box
        began_s = time.process_time()
        assert time_of(whole[:meta_at] + meta) is None
        assert time.process_time() - began_s < 0.5

    def test_little_memory_is_used_whatever_sizes_a_file_announces(self) -> None:
        item = heif_with(exif(taken()), version=0).replace(b"\0\0\0\x06" + MARK, b"\xff\xff\xff\xff" + MARK)
        tiff = exif(taken()).replace(b"\x02\0\x14\0\0\0", b"\x02\0\xff\xff\xff\x7f")
        files = [
            io.BytesIO(encoded + bytes(8_000_000))
            for encoded in (item, jpeg_with(tiff), png_with(tiff), cr3_with(tiff))
        ]
        tracemalloc.start()
        try:
            for file in files:
                capture_time(file, now=NOW)
            assert tracemalloc.get_traced_memory()[1] < 2 * MAX_READ_BYTES
        finally:
            tracemalloc.stop()

    def test_nothing_is_logged_or_warned(self, caplog: pytest.LogCaptureFixture) -> None:
        with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
            warnings.simplefilter("always")
            for sample in SAMPLES:
                time_of(sample[: len(sample) // 2])
        assert (caught, caplog.records) == ([], [])
