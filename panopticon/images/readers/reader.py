"""The signature that all readers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from panopticon.images.limits import DecodeLimits
from panopticon.images.picture import Picture

Shrink = Callable[[tuple[int, int]], int]
"""A function from an image's width and height to the whole number, at least 1, by which decoding may divide
both."""


class Reader(Protocol):
    """A function that reads one format."""

    def __call__(self, encoded: bytes, *, limits: DecodeLimits, shrink: Shrink) -> Picture:
        """Check the header against the limits, then decode the pixels.

        Raises: Rejected, with a `Reason`.
        """
