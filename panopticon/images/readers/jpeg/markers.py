"""The markers of a JPEG: where its segments and scans begin and end. No pixel is decoded.

Source: ITU-T T.81, annex B. Only the first picture of a file is read: a second one, a video or anything else
after its end mark is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

from panopticon.images.reasons import Reason, rejected


class Marker(IntEnum):
    """The second byte of the markers that are read here."""

    DHT = 0xC4
    JPG = 0xC8
    DAC = 0xCC
    START_OF_IMAGE = 0xD8
    END_OF_IMAGE = 0xD9
    START_OF_SCAN = 0xDA
    NUMBER_OF_LINES = 0xDC
    RESTART_INTERVAL = 0xDD
    APP1 = 0xE1
    JPEG_LS_FRAME = 0xF7


END_MARK = b"\xff\xd9"
MAX_SCANS = 200
"""No encoder writes a tenth of so many; each costs time, whatever the size of the picture."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker, without stuffed zeros and restart markers, which belong to the data of a scan."""
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_ALONE = frozenset({0x01, Marker.START_OF_IMAGE, Marker.END_OF_IMAGE})
"""Markers that no length follows."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {Marker.DHT, Marker.JPG, Marker.DAC} | {Marker.JPEG_LS_FRAME}
_COEFFICIENTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One marker, and the bytes that follow its length."""

    marker: int
    at: int
    body: bytes
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The header of the picture."""

    marker: int
    bits: int
    width_px: int
    height_px: int
    components: int
    sampling: Mapping[int, tuple[int, int]]
    """Horizontal and vertical sampling factors by the number of the component."""

    @classmethod
    def of(cls, segment: Segment) -> Self:
        """Read the header. Raises: Rejected (`corrupt`)."""
        body = segment.body
        if len(body) < 6 or len(body) < 6 + 3 * body[5]:
            raise rejected(Reason.CORRUPT, "its header ends early")
        parts = (body[at : at + 2] for at in range(6, 6 + 3 * body[5], 3))
        return cls(
            marker=segment.marker,
            bits=body[0],
            height_px=int.from_bytes(body[1:3]),
            width_px=int.from_bytes(body[3:5]),
            components=body[5],
            sampling={part[0]: (part[1] >> 4, part[1] & 15) for part in parts},
        )

    @property
    def progressive(self) -> bool:
        """Return whether the picture is refined scan by scan."""
        return self.marker in (0xC2, 0xCA)

    @property
    def lossless(self) -> bool:
        """Return whether the picture consists of differences of pixels, in place of coefficients."""
        return self.marker in (0xC3, 0xCB)

    def units_of(self, components: tuple[int, ...]) -> int:
        """Return how many units (MCUs) a scan of these components has; 0 if the header does not fit them."""
        unit_width_px = 8 * max(across for across, _ in self.sampling.values())
        unit_height_px = 8 * max(down for _, down in self.sampling.values())
        # A scan of one component has a unit for each block that holds a part of the picture.
        across, down = self.sampling.get(components[0], (0, 0)) if len(components) == 1 else (1, 1)
        if not unit_width_px or not unit_height_px:
            return 0
        return -(-self.width_px * across // unit_width_px) * -(-self.height_px * down // unit_height_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One scan: its header, and the place of its data."""

    components: tuple[int, ...]
    first: int
    last: int
    """The first and last of the 64 coefficients that the scan gives."""
    refines: bool
    """True if the scan gives one more bit of coefficients that an earlier scan has given."""
    missing_bits: int
    """Low bits of these coefficients that later scans give."""
    restart_interval: int
    """Units between two restart markers; 0 if there are none."""
    begin: int
    end: int
    """Offsets of the data. Without a marker after it, its end is that of the file."""

    @classmethod
    def of(cls, segment: Segment, restart_interval: int = 0) -> Self:
        """Read the header. Raises: Rejected (`corrupt`)."""
        body = segment.body
        if not body or len(body) < 4 + 2 * body[0]:
            raise rejected(Reason.CORRUPT, "the header of a scan ends early")
        count = body[0]
        return cls(
            components=tuple(body[1 : 1 + 2 * count : 2]),
            first=body[1 + 2 * count],
            last=body[2 + 2 * count],
            refines=body[3 + 2 * count] > 15,
            missing_bits=body[3 + 2 * count] & 15,
            restart_interval=restart_interval,
            begin=segment.end,
            end=segment.end,
        )

    @property
    def is_uncoded(self) -> bool:
        """Return whether the data are plain bits, one for each block."""
        return self.refines and self.first == 0

    def lacks_restarts(self, encoded: bytes, frame: Frame) -> bool:
        """Return whether there are fewer restart markers than the picture's size asks for."""
        if not self.restart_interval:
            return False
        found = sum(1 for _ in _RESTART.finditer(encoded, self.begin, self.end))
        return found < -(-frame.units_of(self.components) // self.restart_interval) - 1

    def next_restart(self, encoded: bytes, at: int) -> int:
        """Return the offset of the first restart marker behind `at`, or of the end of the data."""
        found = _RESTART.search(encoded, at, self.end)
        return found.start() if found else self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Everything before the first scan."""

    frame: Frame
    exif: bytes
    """The body of the first EXIF segment; empty if there is none."""
    first_components: int
    """Components of the picture that the first scan gives."""
    begin: int
    """Offset of the first scan's data."""

    @property
    def in_one_scan(self) -> bool:
        """Return whether all pixels are in one scan, so that the decoder need not keep the whole picture."""
        return not self.frame.progressive and self.first_components == self.frame.components


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All scans of a picture."""

    scans: tuple[Scan, ...]
    ended: bool
    """True if the end mark follows the last scan."""
    end: int
    """Offset of the first byte after the end mark, or of the end of the file."""

    def lacks_scans(self, frame: Frame) -> bool:
        """Return whether a coefficient of a component is in no scan, or not to its last bit."""
        if frame.lossless:
            return len({component for scan in self.scans for component in scan.components}) < frame.components
        given = {
            (component, coefficient)
            for scan in self.scans
            if scan.missing_bits == 0
            for component in scan.components
            for coefficient in range(scan.first, min(scan.last + 1, _COEFFICIENTS))
        }
        return len(given) < _COEFFICIENTS * frame.components


def header_of(encoded: bytes) -> Header:
    """Read up to the first scan. Raises: Rejected (`truncated`, `corrupt`)."""
    frame, exif = None, b""
    for segment in _segments(encoded):
        if segment.marker in _FRAMES:
            frame = Frame.of(segment)
        elif segment.marker == Marker.APP1 and not exif and segment.body.startswith(b"Exif\0"):
            exif = segment.body
        elif segment.marker == Marker.START_OF_SCAN:
            if frame is None:
                raise rejected(Reason.CORRUPT, "pixels come before the header")
            first = Scan.of(segment)
            return Header(frame=frame, exif=exif, first_components=len(first.components), begin=first.begin)
        elif segment.marker in (Marker.START_OF_IMAGE, Marker.END_OF_IMAGE):
            raise rejected(Reason.CORRUPT, "there are no pixels")
    raise rejected(Reason.TRUNCATED, "the file ends before its pixels")


def layout_of(encoded: bytes) -> Layout:
    """Find all scans. Raises: Rejected (`too_costly`, `corrupt`)."""
    scans: list[Scan] = []
    interval, open_scan, ended, end = 0, False, False, len(encoded)
    for segment in _segments(encoded):
        if open_scan:
            scans[-1] = replace(scans[-1], end=segment.at)
        open_scan = segment.marker == Marker.START_OF_SCAN
        if open_scan:
            scans.append(Scan.of(segment, interval))
            if len(scans) > MAX_SCANS:
                raise rejected(Reason.TOO_COSTLY, f"more than {MAX_SCANS} scans")
        elif segment.marker == Marker.RESTART_INTERVAL:
            interval = int.from_bytes(segment.body[:2])
        elif segment.marker == Marker.END_OF_IMAGE:
            ended, end = True, segment.end
    if open_scan:
        scans[-1] = replace(scans[-1], end=end)
    return Layout(scans=tuple(scans), ended=ended, end=end)


def number_of_lines(encoded: bytes) -> int:
    """Return the height that is given after the first scan, where the header has none; 0 if nowhere."""
    found = (segment.body for segment in _segments(encoded) if segment.marker == Marker.NUMBER_OF_LINES)
    return int.from_bytes(next(found, b"")[:2])


def _segments(encoded: bytes) -> Iterator[Segment]:
    """Yield the segments up to the end mark, or to the mark where another picture begins.

    Bytes between segments are skipped, as decoders do; among them is the data of scans.
    """
    at = 2
    while found := _MARKER.search(encoded, at):
        marker, at = encoded[found.start() + 1], found.end()
        body = b""
        if marker not in _ALONE:
            end = at + max(2, int.from_bytes(encoded[at : at + 2]))
            if end > len(encoded):
                return
            body, at = encoded[at + 2 : end], end
        yield Segment(marker=marker, at=found.start(), body=body, end=at)
        if marker in (Marker.START_OF_IMAGE, Marker.END_OF_IMAGE):
            return
