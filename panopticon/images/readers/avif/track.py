"""The properties of an AVIF sequence whose pictures are in a track, as in a film, and not items.

Source: ISO/IEC 14496-12, sections 8.5 (sample descriptions) and 12.1 (visual sample entries).
"""

from __future__ import annotations

from collections.abc import Iterable

from panopticon.images.readers.iso_media.boxes import Box, boxes

_PATH_TO_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_SAMPLE_ENTRY_BYTES = 78
"""Bytes of a visual sample entry before its boxes."""


def properties_of_track(encoded: bytes, top: Iterable[Box]) -> list[Box]:
    """Return the properties of the first track of a file whose outermost boxes are given; none without one.

    Raises: Rejected (`corrupt`).
    """
    inner = top
    for kind in _PATH_TO_SAMPLES:
        found = next((box for box in inner if box.kind == kind), None)
        if found is None:
            return []
        # The content of `stsd` begins with version, flags and a count.
        inner = boxes(encoded, found.start + (8 if kind == b"stsd" else 0), found.end)
    entry = next(iter(inner), None)
    return list(boxes(encoded, entry.start + _SAMPLE_ENTRY_BYTES, entry.end)) if entry else []
