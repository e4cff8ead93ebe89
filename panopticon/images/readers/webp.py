"""Reading WebP: the first frame that shows something.

The decoder takes missing data for a picture, if zeros are in their place, so they are looked for here.
Sources: WebP Container Specification; RFC 6386 (VP8), RFC 9649 (VP8L).
"""

from __future__ import annotations

from PIL.WebPImagePlugin import WebPImageFile

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits, check_pixels
from panopticon.images.picture import Picture
from panopticon.images.readers.animation import load_first_shown
from panopticon.images.readers.pillow import load_pixels, loaded, open_header, pixels_hash
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import FILLED_WITH_ZEROS, Reason, rejected

_LEAST_ZEROS = 64
"""Zero bytes at the end of a picture's data that are worth a closer look."""
_ENDINGS = (b"\xff" * 16, bytes.fromhex("9d6be21745f80c93a15eb27c38d40691"))
"""Bytes that are tried in place of the last zeros; two, because one may be decoded to the same pixels."""
_FRAME_HEADER_BYTES = 16


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:  # noqa: ARG001
    """Decode a WebP. Raises: Rejected (see `Reader`)."""
    _check_size(encoded, limits.max_pixels)
    image = open_header(WebPImageFile, encoded, limits)
    end = _end_of_data(encoded)
    if end and encoded.endswith(bytes(_LEAST_ZEROS), 0, end):
        _check_zeros(encoded, end, limits)
    if image.is_animated:
        load_first_shown(image, limits)
    return loaded(image)


def _end_of_data(encoded: bytes) -> int:
    """Return the end of the chunk with the first picture's colours; 0 if there is none."""
    start = 12
    while start + 8 <= len(encoded):
        name = encoded[start : start + 4]
        end = start + 8 + int.from_bytes(encoded[start + 4 : start + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            return min(end, len(encoded))
        # Chunks of an animation lie inside the chunk of their frame.
        start = start + 8 + _FRAME_HEADER_BYTES if name == b"ANMF" else end + end % 2
    return 0


def _check_zeros(encoded: bytes, end: int, limits: DecodeLimits) -> None:
    """Check that zeros at the end of a picture's data belong to them, as they may in flat pictures.

    Data are as long as the pixels need. Zeros in place of other data are decoded to all pixels before their
    end, as they are the code of what is most frequent, so that the last of them can be anything.
    """
    shown = _fingerprint(encoded, limits)
    for ending in _ENDINGS:
        try:
            changed = _fingerprint(encoded[: end - len(ending)] + ending + encoded[end:], limits)
        except Rejected:
            return
        if changed != shown:
            return
    raise rejected(Reason.TRUNCATED, FILLED_WITH_ZEROS)


def _fingerprint(encoded: bytes, limits: DecodeLimits) -> int:
    """Return a number that changes with the pixels of the first frame."""
    image = open_header(WebPImageFile, encoded, limits)
    load_pixels(image)
    return pixels_hash(image)


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
