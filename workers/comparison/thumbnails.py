"""Thumbnails of originals, which are fetched from the same source and with the same limits as in a worker."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.images.thumbnails import thumbnail
from panopticon.interfaces import Catalogue, ImageSource
from panopticon.messages import ImageMessage
from panopticon.results.originals import original_uri
from panopticon.settings import Settings
from workers.model_process.item_limits import ItemLimits

SIDE_PX = 240
FETCHES_AT_ONCE = 4


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
            return Photo(jpeg=thumbnail(encoded, side_px=SIDE_PX, limits=limits.decode))
        except (Rejected, Transient, Unavailable) as error:
            return Photo(jpeg=b"", problem=str(error))

    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        return list(pool.map(fetch, image_ids))
