"""Why an image is rejected: the closed set of reason codes."""

from __future__ import annotations

from enum import StrEnum

from panopticon.errors import Rejected


class Reason(StrEnum):
    """Every `Rejected.reason` that `decode` raises."""

    EMPTY = "empty"
    """No bytes at all."""
    TOO_MANY_BYTES = "too_many_bytes"
    """More encoded bytes than the limit."""
    NOT_AN_IMAGE = "not_an_image"
    """The first bytes are those of no image format known here."""
    FORMAT_NOT_ALLOWED = "format_not_allowed"
    """A known format that is not on the list, such as HEIC, SVG or PDF."""
    ZERO_SIZE = "zero_size"
    """The header says that there are no pixels, or nothing about them."""
    TOO_MANY_PIXELS = "too_many_pixels"
    """The header says more pixels than the limit."""
    TOO_COSTLY = "too_costly"
    """Within the pixel limit, yet written so that decoding takes far more time or memory than a photo's."""
    TRUNCATED = "truncated"
    """The end is missing."""
    CORRUPT = "corrupt"
    """The format is known, but the bytes break its rules or use a variant that cannot be read."""


def rejected(reason: Reason, detail: str) -> Rejected:
    """The error to raise, with the reason as a plain string."""
    return Rejected(reason.value, detail)
