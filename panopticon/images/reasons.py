"""The closed set of reason codes for which an image is rejected."""

from __future__ import annotations

from enum import StrEnum

from panopticon.errors import Rejected


class Reason(StrEnum):
    """A `Rejected.reason` that `decode` raises."""

    EMPTY = "empty"
    """The file has no bytes."""
    TOO_MANY_BYTES = "too_many_bytes"
    """The encoded image has more bytes than the limit."""
    NOT_AN_IMAGE = "not_an_image"
    """The first bytes match no image format known here."""
    FORMAT_NOT_ALLOWED = "format_not_allowed"
    """The format is known but not decoded, such as SVG or PDF."""
    UNSUPPORTED = "unsupported"
    """The format is decoded, but not this variant of it, such as a TIFF of complex numbers."""
    ZERO_SIZE = "zero_size"
    """The header gives a size of no pixels, or no size at all."""
    TOO_MANY_PIXELS = "too_many_pixels"
    """The header gives more pixels than the limit."""
    TOO_COSTLY = "too_costly"
    """The pixels are within the limit, but decoding them takes far more time or memory than a photo does."""
    TRUNCATED = "truncated"
    """The end of the file is missing."""
    CORRUPT = "corrupt"
    """The format is known, but the bytes break its rules."""


FILLED_WITH_ZEROS = (
    "the end of the picture is missing: zeros are in its place, as in a download that broke off"
)


def rejected(reason: Reason, detail: str) -> Rejected:
    """Make the error to raise, with the reason as a plain string."""
    return Rejected(reason.value, detail)
