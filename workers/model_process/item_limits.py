"""The limits that one image must keep to, from fetch to decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from panopticon.images.limits import DecodeLimits
from panopticon.interfaces import FetchLimits
from panopticon.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemLimits:
    """The most that fetching and decoding one image may cost."""

    fetch: FetchLimits
    decode: DecodeLimits

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits that the settings name; `max_bytes` holds for the fetch and for the decoder."""
        return cls(
            fetch=FetchLimits(max_bytes=settings.max_bytes, timeout_s=settings.fetch_timeout_s),
            decode=DecodeLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels),
        )
