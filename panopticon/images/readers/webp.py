"""Reading WebP: the first frame that shows something.

The decoder takes missing data for a picture, if zeros are in their place, so they are looked for here.
Sources: WebP Container Specification; RFC 6386 (VP8), RFC 9649 (VP8L).
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from panopticon.images.limits import DecodeLimits, check_pixels
from panopticon.images.picture import Picture
from panopticon.images.readers.animation import load_first_shown
from panopticon.images.readers.pillow import loaded, open_header
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import FILLED_WITH_ZEROS, Reason, rejected

_LEAST_ZEROS = 64
"""Zero bytes at the end of a picture's data that are worth a closer look."""
_MOST_ZEROS = 65_536
"""Zero bytes that are counted at most: more than any picture within the limit on pixels may end with."""
_BLOCKS_PER_ZERO = 16
"""Blocks of 16 × 16 pixels for each zero byte that a lossy picture may end with.

Blocks without detail take zero bits: one byte for 27 blocks, or more, in flat pictures of 6 megapixels."""
_FLAT_COLOURS = 16
"""Colours of the last row up to which a lossless picture may end with zeros, for *more of the same*.

The rows of a photo whose data are replaced by zeros have far more: 202 at least in the cases measured."""
_FRAME_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """The chunk that holds the first picture's colours, and the zero bytes that it ends with."""

    lossless: bool
    zeros: int


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a WebP. Raises: Rejected (see `Reader`)."""
    _check_size(encoded, limits.max_pixels)
    image = open_header(WebPImageFile, encoded, limits)
    data = _first_data(encoded)
    if data and not data.lossless:
        blocks = -(-image.width // 16) * -(-image.height // 16)
        _check_zeros(data, _LEAST_ZEROS + blocks // _BLOCKS_PER_ZERO)
    if image.is_animated:
        load_first_shown(image, limits)
    picture = loaded(image)
    if data and data.lossless and _varied(image):
        _check_zeros(data, _LEAST_ZEROS)
    return picture


def _first_data(encoded: bytes) -> _Data | None:
    """Return the data of the first frame; None if there are none, as the decoder will find."""
    start = 12
    while start + 8 <= len(encoded):
        name = encoded[start : start + 4]
        end = start + 8 + int.from_bytes(encoded[start + 4 : start + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            content = encoded[max(start + 8, end - _MOST_ZEROS) : end]
            return _Data(lossless=name == b"VP8L", zeros=len(content) - len(content.rstrip(b"\0")))
        # Chunks of an animation lie inside the chunk of their frame.
        start = start + 8 + _FRAME_HEADER_BYTES if name == b"ANMF" else end + end % 2
    return None


def _check_zeros(data: _Data, allowed: int) -> None:
    if data.zeros > allowed:
        raise rejected(Reason.TRUNCATED, FILLED_WITH_ZEROS)


def _varied(image: Image.Image) -> bool:
    """Return whether the last row has more colours than a flat area."""
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    return last_row.getcolors(_FLAT_COLOURS) is None


def _check_size(encoded: bytes, max_pixels: int) -> None:
    """Check the size before Pillow opens the file, because opening allocates the whole canvas."""
    if int.from_bytes(encoded[4:8], "little") + 8 > len(encoded):
        raise rejected(Reason.TRUNCATED, "shorter than its RIFF header gives")
    if encoded[12:16] == b"VP8X":
        width_px = int.from_bytes(encoded[24:27], "little") + 1
        height_px = int.from_bytes(encoded[27:30], "little") + 1
        check_pixels(width_px, height_px, max_pixels)
    elif encoded[12:16] == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        check_pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, max_pixels)
    elif encoded[12:16] == b"VP8 ":
        width_px = int.from_bytes(encoded[26:28], "little") & 0x3FFF
        height_px = int.from_bytes(encoded[28:30], "little") & 0x3FFF
        check_pixels(width_px, height_px, max_pixels)
