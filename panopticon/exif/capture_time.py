"""The time at which a photo was taken, from its EXIF.

Source: CIPA DC-008 (Exif 3.0), section 4.6.6 (times and their zones) and 4.6.7 (GPS).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import BinaryIO

from panopticon.exif.bounded_file import BoundedFile, ExifError
from panopticon.exif.containers import tiff_headers
from panopticon.exif.directories import Entry, Tiff

EARLIEST = datetime(1826, 1, 1, tzinfo=UTC)
"""The year of the oldest photograph that exists."""
MARGIN = timedelta(days=1)
"""The time by which the clock of a camera, or its zone, may be ahead."""

_EXIF, _GPS = 0x8769, 0x8825
_TIMES = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012))
"""Tags of time, fraction and zone: those of the taking, then those of the digitising, which cameras set too.

DateTime (0x0132) is left out: programs set it when they change a picture."""
_GPS_TIME, _GPS_DATE = 0x0007, 0x001D
_UNSET = datetime(1970, 1, 1)
"""The time that devices without a clock, and programs without a date, write."""
_TIME = re.compile(
    rb"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d+))? ?(Z|[+-]\d\d:?\d\d)?"
)
_ZONE = re.compile(rb"([+-])(\d\d):?(\d\d)")
_DATE = re.compile(rb"(\d{4})[:/.-](\d\d)[:/.-](\d\d)")
_ZONES = (timedelta(hours=-12), timedelta(hours=14))
_ZONE_STEP = timedelta(minutes=15)

_Directory = Mapping[int, Entry]


def capture_time(file: BinaryIO, *, now: datetime) -> datetime | None:
    """Return when a picture was taken; None if the file does not say, or says something impossible.

    A time without a zone gets the one that follows from the GPS time, else UTC. At most a megabyte is read.
    Raises: OSError.
    """
    bounded = BoundedFile(file)
    # Where a file is broken, its EXIF is unknown.
    with suppress(ExifError):
        for header_at in tiff_headers(bounded):
            with suppress(ExifError):
                for moment in _moments(Tiff.at(bounded, header_at)):
                    if EARLIEST <= moment <= now + MARGIN:
                        return moment
    return None


def _moments(tiff: Tiff) -> Iterator[datetime]:
    """Yield the times of a picture, the best first."""
    first = tiff.first_directory()
    # Some RAW files, as TIFF/EP says, have these tags in the first directory.
    directories = [tiff.inner_directory(first.get(_EXIF)), first]
    for time_tag, fraction_tag, zone_tag in _TIMES:
        for directory in directories:
            written = _TIME.fullmatch(tiff.text(directory.get(time_tag)))
            if written is None or (local := _local(written)) is None or local == _UNSET:
                continue
            fraction = written[7] or tiff.text(directory.get(fraction_tag))
            zone = _zone_of(written[8] or tiff.text(directory.get(zone_tag)))
            if zone is None:
                zone = _zone_by_gps(local, tiff, first)
            yield (local + _fraction_of(fraction)).replace(tzinfo=timezone(zone))


def _local(written: re.Match[bytes]) -> datetime | None:
    year, month, day, hour, minute, second = map(int, written.groups()[:6])
    with suppress(ValueError):
        return datetime(year, month, day, hour, minute, second)
    return None


def _fraction_of(digits: bytes) -> timedelta:
    """Return a fraction of a second, given the digits after its point; in whole milliseconds."""
    return timedelta(milliseconds=int(digits[:3].ljust(3, b"0")) if digits.isdigit() else 0)


def _zone_of(text: bytes) -> timedelta | None:
    if text == b"Z":
        return timedelta(0)
    written = _ZONE.fullmatch(text)
    if written is None:
        return None
    ahead = timedelta(hours=int(written[2]), minutes=int(written[3]))
    return _plausible(-ahead if written[1] == b"-" else ahead)


def _zone_by_gps(local: datetime, tiff: Tiff, first: _Directory) -> timedelta:
    """Return the difference between the camera's clock and the GPS time, in quarter hours; else that of UTC.

    A receiver that has lost its satellites goes on giving the last time that it got.
    """
    utc = None
    with suppress(ExifError):
        utc = _gps_time(tiff, tiff.inner_directory(first.get(_GPS)))
    if utc is None:
        return timedelta(0)
    return _plausible(round((local - utc) / _ZONE_STEP) * _ZONE_STEP) or timedelta(0)


def _gps_time(tiff: Tiff, gps: _Directory) -> datetime | None:
    date = _DATE.fullmatch(tiff.text(gps.get(_GPS_DATE)))
    time = tiff.ratios(gps.get(_GPS_TIME), 3)
    if date is None or not time:
        return None
    hours, minutes, seconds = time
    with suppress(ValueError, OverflowError):
        year, month, number = map(int, date.groups())
        day = datetime(year, month, number)
        return day + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return None


def _plausible(zone: timedelta) -> timedelta | None:
    return zone if _ZONES[0] <= zone <= _ZONES[1] else None
