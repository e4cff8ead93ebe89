"""What every room keeps of one image, read and put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panopticon.interfaces import SearchIndex, Store
from panopticon.results.documents import SearchDocument
from panopticon.results.outputs import CatalogueImage, Failure, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """What the rooms know of one ID."""

    image_id: str
    row: CatalogueImage | None
    outputs: Sequence[Output]
    failures: Sequence[Failure]
    document: SearchDocument | None

    @property
    def empty(self) -> bool:
        return not (self.row or self.outputs or self.failures or self.document)


def read_image_record(image_id: str, *, store: Store, search: SearchIndex) -> ImageRecord:
    """Raises: Unavailable."""
    return ImageRecord(
        image_id=image_id,
        row=store.catalogue.get([image_id]).get(image_id),
        outputs=store.outputs.versions_of(image_id),
        failures=store.outputs.failures_of([image_id]),
        document=search.get([image_id]).get(image_id),
    )
