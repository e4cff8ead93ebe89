"""One image and all that is known of it, as `panopticon show` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.inspection.explain import Explanation
from workers.inspection.image_status import ImageStatus
from workers.registry.image_record import ImageRecord
from workers.registry.records import Registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that is told of one image."""

    record: ImageRecord
    registered: Registered
    explanations: Sequence[Explanation]
    """One of each output."""
    statuses: Sequence[ImageStatus]
    retry_delays: int
    """Retries that an image gets, by the settings here."""
