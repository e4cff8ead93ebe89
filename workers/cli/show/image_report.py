"""Everything that `panopticon show` prints of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.inspection.explain import Explanation
from workers.inspection.image_status import ImageStatus
from workers.inspection.original_file import OriginalFile
from workers.registry.image_record import ImageRecord
from workers.registry.records import Registered


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """One image, everything stored about it, and the explanation of each."""

    record: ImageRecord
    registered: Registered
    explanations: Sequence[Explanation]
    """The explanation of each output, in the order of the record's outputs."""
    statuses: Sequence[ImageStatus]
    original: OriginalFile | None
    """The file of the original; None if it is not a file."""
    retry_delays: int
    """Number of retries that an image gets by the settings of this machine."""
