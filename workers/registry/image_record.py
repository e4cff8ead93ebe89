"""Reading everything that is stored about images, from the store and from search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from panopticon.interfaces import SearchIndex, Store
from panopticon.results.documents import SearchDocument
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, Output, OutputKey, VersionName

Result = TypeVar("Result", Output, Failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """Everything that store and search keep of one image."""

    image_id: str
    row: CatalogueImage | None
    """The image's row in the catalogue."""
    outputs: Sequence[Output]
    failures: Sequence[Failure]
    document: SearchDocument | None

    @property
    def empty(self) -> bool:
        """True if nothing at all is kept under this ID."""
        return not (self.row or self.outputs or self.failures or self.document)

    @property
    def keys(self) -> list[OutputKey]:
        """The keys of the outputs and failures, each once, sorted."""
        return sorted({output.key for output in self.outputs} | {failure.key for failure in self.failures})

    @property
    def open_failures(self) -> list[Failure]:
        """The failures, without the records of retry delays after which an output was stored."""
        stored = {output.key for output in self.outputs}
        return [
            failure
            for failure in self.failures
            if failure.state is not FailureState.RETRYING or failure.key not in stored
        ]

    @property
    def in_catalogue(self) -> bool:
        """True if the catalogue has the image, and not as deleted: it may be sent to a model then."""
        return self.row is not None and not self.row.deleted

    @property
    def in_search(self) -> bool:
        """True if search has a document of the image that is not a tombstone."""
        return self.document is not None and not self.document.deleted

    def has_output(self, version: VersionName) -> bool:
        """Return whether an output of a version is kept for the catalogue's revision."""
        key = self._present_key(version)
        return any(output.key == key for output in self.outputs)

    def failure(self, version: VersionName) -> Failure | None:
        """Return the failure of a version for the catalogue's revision; None if none is kept."""
        key = self._present_key(version)
        return next((failure for failure in self.failures if failure.key == key), None)

    def _present_key(self, version: VersionName) -> OutputKey | None:
        return version.key(self.image_id, self.row.revision) if self.row else None


def read_image_records(image_ids: Sequence[str], *, store: Store, search: SearchIndex) -> list[ImageRecord]:
    """Return one record per ID, in order; empty ones for unknown IDs. Raises: Unavailable."""
    rows, documents = store.catalogue.get(image_ids), search.get(image_ids)
    failures = by_image(store.outputs.failures_of(image_ids))
    return [
        ImageRecord(
            image_id=image_id,
            row=rows.get(image_id),
            outputs=store.outputs.versions_of(image_id),
            failures=failures.get(image_id, ()),
            document=documents.get(image_id),
        )
        for image_id in image_ids
    ]


def by_image(results: Iterable[Result]) -> Mapping[str, list[Result]]:
    """Group outputs or failures by image ID, in their order."""
    grouped: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        grouped[result.key.image_id].append(result)
    return grouped
