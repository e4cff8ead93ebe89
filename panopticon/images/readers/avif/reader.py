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
from panopticon.images.readers.avif.track import properties_of_track
from panopticon.images.readers.iso_media.boxes import Box, boxes
from panopticon.images.readers.iso_media.items import Extent, items_of
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import FILLED_WITH_ZEROS, Reason, rejected

_CODED = frozenset({b"av01"})
_ZEROS = bytes(64)
"""Zero bytes that coded data never end with: the longest run in AV1 data of empty pictures was 7."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode an AVIF. Raises: Rejected (see `Reader`)."""
    # All boxes are checked here, because the decoder reports a missing end only as bad data.
    top = list(boxes(encoded, 0, len(encoded)))
    image = open_header(AvifImageFile, encoded, limits)
    items = items_of(encoded)
    data = items.extents_of(_CODED) if items else []
    # Zeros at the end are left by a download that has reserved its space on the disk.
    if any(encoded.endswith(_ZEROS, extent.start, extent.end) for extent in data):
        raise rejected(Reason.TRUNCATED, FILLED_WITH_ZEROS)
    described = (items and items.properties.get(items.primary)) or properties_of_track(encoded, top)
    encoding = None if image.info.get("icc_profile") else _encoding(encoded, described, data)
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


def _encoding(encoded: bytes, described: Sequence[Box], data: Sequence[Extent]) -> Encoding:
    """Return the encoding that the properties of the picture or else its AV1 data name."""
    colours = [box for box in described if box.kind == b"colr"]
    named = [box for box in colours if encoded[box.start : box.start + 4] == b"nclx"]
    if named:
        at = named[0].start
        primaries = int.from_bytes(encoded[at + 4 : at + 6])
        transfer = int.from_bytes(encoded[at + 6 : at + 8])
    else:
        primaries, transfer = av1.colours_of(encoded[data[0].start : data[0].end]) if data else (2, 2)
    return encoding_of(primaries, transfer)
