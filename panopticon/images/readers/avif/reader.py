"""Reading AVIF.

The decoder widens the range, converts to RGB of eight bits, and gives rotation and mirroring (`irot`, `imir`)
as an EXIF orientation in place of that of EXIF, which MIAF says to ignore. It does not convert colours, and
decodes missing data in silence: both are seen to here.
Sources: AV1 Image File Format; ISO/IEC 23000-22 (MIAF).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

from PIL.AvifImagePlugin import AvifImageFile

from panopticon.images.colour import Encoding, encoding_of
from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture
from panopticon.images.readers.animation import load_first_shown
from panopticon.images.readers.avif import av1
from panopticon.images.readers.iso_boxes import Box, extents, properties
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import FILLED_WITH_ZEROS, Reason, rejected

_ZEROS = bytes(64)
"""Zero bytes that coded data never end with: the longest run in AV1 data of empty pictures was 7."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode an AVIF. Raises: Rejected (see `Reader`)."""
    _check_boxes(encoded)
    image = open_header(AvifImageFile, encoded, limits)
    _check_data(encoded)
    described = properties(encoded)
    encoding = None if image.info.get("icc_profile") else _encoding(encoded, described)
    if image.is_animated:
        load_first_shown(image, limits)
    picture = replace(loaded(image), encoding=encoding)
    aperture = next((box for box in described if box.kind == b"clap"), None)
    return _cropped(picture, encoded[aperture.start : aperture.end]) if aperture else picture


def _cropped(picture: Picture, aperture: bytes) -> Picture:
    """Crop to the clean aperture (ISO/IEC 14496-12, `clap`): eight numbers that make four fractions.

    They are width, height, and the distances of its centre from that of the image. Some programs write some
    that reach outside the image; those are ignored.
    """
    if len(aperture) != 32:
        return picture
    numbers = struct.unpack(">2L2L2l2l", aperture)
    if 0 in numbers[1::2]:
        return picture
    width, height, right, down = (numbers[at] / numbers[at + 1] for at in range(0, 8, 2))
    whole_width, whole_height = picture.stored_size_px
    left, top = round(right + (whole_width - width) / 2), round(down + (whole_height - height) / 2)
    box = (left, top, left + round(width), top + round(height))
    if not (0 <= box[0] < box[2] <= whole_width and 0 <= box[1] < box[3] <= whole_height):
        return picture
    image = picture.image.crop(box)
    return replace(picture, image=image, stored_size_px=image.size)


def _encoding(encoded: bytes, described: Sequence[Box]) -> Encoding | None:
    """Return the encoding that the primary item or else its AV1 data name."""
    colours = [box for box in described if box.kind == b"colr"]
    named = [box for box in colours if encoded[box.start : box.start + 4] == b"nclx"]
    if named:
        at = named[0].start
        primaries = int.from_bytes(encoded[at + 4 : at + 6])
        transfer = int.from_bytes(encoded[at + 6 : at + 8])
    else:
        data = extents(encoded, b"av01")
        primaries, transfer = av1.colours_of(encoded[data[0].start : data[0].end]) if data else (2, 2)
    encoding = encoding_of(primaries, transfer)
    return None if encoding.is_srgb() else encoding


def _check_data(encoded: bytes) -> None:
    """Check that no picture's data end in zeros, as in a download that has reserved its space on the disk."""
    for extent in extents(encoded, b"av01"):
        if encoded.endswith(_ZEROS, extent.start, extent.end):
            raise rejected(Reason.TRUNCATED, FILLED_WITH_ZEROS)


def _check_boxes(encoded: bytes) -> None:
    """Check that all boxes are complete: the decoder reports a missing end only as bad data."""
    start = 0
    while start < len(encoded):
        size = int.from_bytes(encoded[start : start + 4])
        if size == 1:
            size = int.from_bytes(encoded[start + 8 : start + 16])
        elif size == 0:
            return
        if size < 8:
            raise rejected(Reason.CORRUPT, f"box of {size} bytes at byte {start}")
        start += size
    if start > len(encoded):
        raise rejected(
            Reason.TRUNCATED, f"the last box ends {start - len(encoded)} bytes after the end of the file"
        )
