"""Thumbnails of originals, fetched as workers fetch them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from panopticon.errors import Rejected, Transient, Unavailable
from panopticon.images.thumbnails import thumbnail
from panopticon.interfaces import Catalogue, ImageSource
from panopticon.messages import ImageMessage
from panopticon.results.originals import original_uri
from panopticon.results.outputs import CatalogueImage
from panopticon.settings import Settings
from workers.model_process.item_limits import ItemLimits

SIDE_PX = 240
FETCHES_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One image as it can be shown."""

    jpeg: bytes
    """Empty if there is none to show."""
    problem: str = ""
    """Why not."""


def fetch_photos(
    source: ImageSource, catalogue: Catalogue, settings: Settings, image_ids: Sequence[str]
) -> list[Photo]:
    """One an ID, in order. What cannot be fetched or decoded says why, and takes nothing from the others."""
    rows = catalogue.get(image_ids)

    def fetch(image_id: str) -> Photo:
        row = rows.get(image_id)
        return (
            Photo(jpeg=b"", problem="not in the catalogue") if row is None else _photo(source, row, settings)
        )

    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        return list(pool.map(fetch, image_ids))


def _photo(source: ImageSource, row: CatalogueImage, settings: Settings) -> Photo:
    message = ImageMessage(image_id=row.image_id, image_uri=row.image_uri or None)
    limits = ItemLimits.of(settings)
    try:
        encoded = source.fetch(original_uri(message, settings.originals), limits.fetch)
        return Photo(jpeg=thumbnail(encoded, side_px=SIDE_PX, limits=limits.decode))
    except (Rejected, Transient, Unavailable) as error:
        return Photo(jpeg=b"", problem=str(error))
