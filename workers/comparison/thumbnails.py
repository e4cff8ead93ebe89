"""Thumbnails of originals, which are fetched from the same source and with the same limits as in a worker.

Each is decoded in a process of its own, so that no file can end or hang a command.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.images.limits import DecodeLimits
from panopticon.interfaces import Catalogue, ImageSource
from panopticon.messages import ImageMessage
from panopticon.results.originals import original_uri
from panopticon.settings import Settings
from workers.comparison.thumbnail_process import REJECTED
from workers.model_process.child_process import status_text
from workers.model_process.item_limits import ItemLimits
from workers.runtime.end_with_parent import start_child

SIDE_PX = 240
FETCHES_AT_ONCE = 4
_PROCESS = "workers.comparison.thumbnail_process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """The thumbnail of one image, or the reason why there is none."""

    jpeg: bytes
    """Empty if there is no thumbnail."""
    problem: str = ""
    """The reason why there is no thumbnail; empty if there is one."""


def fetch_photos(
    source: ImageSource, catalogue: Catalogue, settings: Settings, image_ids: Sequence[str]
) -> list[Photo]:
    """Return one photo for each ID, in order; a photo that cannot be fetched or decoded is a problem instead.

    Raises: Unavailable if the catalogue is down.
    """
    rows, limits = catalogue.get(image_ids), ItemLimits.of(settings)

    def fetch(image_id: str) -> Photo:
        row = rows.get(image_id)
        if row is None:
            return Photo(jpeg=b"", problem="not in the catalogue")
        message = ImageMessage(image_id=row.image_id, image_uri=row.image_uri or None)
        try:
            encoded = source.fetch(original_uri(message, settings.originals), limits.fetch)
        except (Rejected, Transient, Unavailable) as error:
            return Photo(jpeg=b"", problem=str(error))
        return _photo_of(encoded, limits.decode, timeout_s=settings.item_timeout_s)

    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        return list(pool.map(fetch, image_ids))


def _photo_of(encoded: bytes, limits: DecodeLimits, *, timeout_s: float) -> Photo:
    arguments = [str(SIDE_PX), str(limits.max_bytes), str(limits.max_pixels)]
    pipe = subprocess.PIPE
    with start_child(_PROCESS, arguments, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        try:
            jpeg, complaint = child.communicate(encoded, timeout=timeout_s)
        except BaseException as error:
            child.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return Photo(jpeg=b"", problem=f"not decoded within {timeout_s:g} seconds")
    if child.returncode == REJECTED:
        return Photo(jpeg=b"", problem=complaint.decode(errors="replace"))
    if child.returncode:
        return Photo(jpeg=b"", problem=f"its decoder ended with {status_text(child.returncode)}")
    return Photo(jpeg=jpeg)
