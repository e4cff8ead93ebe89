"""Reading JPEG, as small as its decoder can make it while leaving enough pixels for the fine step."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PIL import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from panopticon.images.limits import JPEG_PIXELS_FACTOR, DecodeLimits, check_pixels, check_work
from panopticon.images.picture import Picture
from panopticon.images.readers.exif import orientation_of
from panopticon.images.readers.jpeg.markers import (
    END_MARK,
    Frame,
    Header,
    Marker,
    header_of,
    layout_of,
    number_of_lines,
)
from panopticon.images.readers.jpeg.wholeness import ZERO_RUN, completed
from panopticon.images.readers.pillow import load_pixels, loaded, open_header, pixels_hash
from panopticon.images.readers.reader import Shrink
from panopticon.images.reasons import Reason, rejected
from panopticon.images.scaling import draft_size

_HIERARCHICAL = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Do nothing: the resolution is not needed, and reading it warns about broken EXIF."""


def read(encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
    """Decode a JPEG. Raises: Rejected (see `Reader`)."""
    header = header_of(encoded)
    frame = header.frame
    _check_kind(frame, encoded)
    power = _power(header, shrink)
    factor = min(JPEG_PIXELS_FACTOR, power * power) if header.in_one_scan else 1
    check_pixels(frame.width_px, frame.height_px, limits.max_pixels, factor=factor)
    whole = _whole(encoded, header, limits)
    image = _opened(whole, limits)
    stored_size_px = image.size
    draft_px = draft_size(image.size, power)
    if draft_px:
        image.draft(None, draft_px)
    return replace(loaded(image), stored_size_px=stored_size_px, orientation=orientation_of(header.exif))


def _opened(encoded: bytes, limits: DecodeLimits) -> ImageFile.ImageFile:
    # The size is checked already, and may be above the limit of other formats.
    return open_header(_Jpeg, encoded, replace(limits, max_pixels=limits.max_pixels * JPEG_PIXELS_FACTOR))


def _check_kind(frame: Frame, encoded: bytes) -> None:
    if frame.marker == Marker.JPEG_LS_FRAME:
        raise rejected(Reason.UNSUPPORTED, "JPEG-LS")
    if frame.marker in _HIERARCHICAL:
        raise rejected(Reason.UNSUPPORTED, "hierarchical JPEG")
    if frame.bits != 8:
        raise rejected(Reason.UNSUPPORTED, f"JPEG of {frame.bits} bits a sample; only 8 are decoded")
    if frame.components not in (1, 3, 4):
        raise rejected(Reason.UNSUPPORTED, f"JPEG of {frame.components} colour components")
    if frame.height_px == 0 and number_of_lines(encoded):
        raise rejected(Reason.UNSUPPORTED, "JPEG whose height is given only after its pixels (DNL)")


def _power(header: Header, shrink: Shrink) -> int:
    """Return the power of two by which decoding divides width and height."""
    frame = header.frame
    # A lossless JPEG has no coefficients to leave out.
    if frame.lossless or not frame.width_px or not frame.height_px:
        return 1
    return min(8, 1 << (shrink((frame.width_px, frame.height_px)).bit_length() - 1))


def _whole(encoded: bytes, header: Header, limits: DecodeLimits) -> bytes:
    """Return a JPEG whose pixels are all there. Raises: Rejected (`truncated`, `corrupt`, `too_costly`)."""
    suspicious = not encoded.endswith(END_MARK) or encoded.find(ZERO_RUN, header.begin) >= 0
    if header.in_one_scan and not suspicious:
        return encoded
    layout = layout_of(encoded)
    if not header.in_one_scan:
        size_px = (header.frame.width_px, header.frame.height_px)
        check_work(size_px, passes=len(layout.scans), max_pixels=limits.max_pixels)
    if layout.ended and encoded.find(ZERO_RUN, header.begin, layout.end) < 0:
        return encoded
    return completed(encoded, header.frame, layout, partial(_fingerprint, limits=limits))


def _fingerprint(encoded: bytes, *, limits: DecodeLimits) -> int:
    """Return a number that changes with the pixels, at full size unless that is above the limit."""
    image = _opened(encoded, limits)
    factor = 1 + int((image.width * image.height / limits.max_pixels) ** 0.5)
    draft_px = draft_size(image.size, factor)
    if draft_px:
        image.draft(None, draft_px)
    load_pixels(image)
    return pixels_hash(image)
