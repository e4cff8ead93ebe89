"""Erasing everything that is stored about images, and checking whether any of it came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.depths import HOPS, at_work, delayed, total
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import MAX_REVISION, ImageMessage, Lane
from panopticon.results.folder_entries import FolderEntry
from panopticon.results.originals import original_uri
from panopticon.results.outputs import CatalogueImage
from workers.registry.image_record import ImageRecord, read_image_records
from workers.registry.records import all_versions
from workers.submission.folder_history import history_of
from workers.submission.listed_folders import path_in
from workers.submission.submit import Entry, publish


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """The result of an erasure."""

    images: int
    outputs: int
    failures: int
    unknown: tuple[str, ...]
    """IDs under which nothing was kept; nothing was written for them either."""
    revisions: Mapping[str, int]
    """The revision of each image's tombstone; only a higher one brings the image back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Everything that is left of erased images."""

    in_flight: int
    """Messages for models that are ready or leased: one of these images may be among them."""
    delayed: int
    """Messages for models on a retry delay, which bring nothing back: the worker skips a deleted image."""
    on_the_way: int
    """Messages for the indexer, which may not have applied the erasure to search yet."""
    kept: Sequence[ImageRecord]
    """Images with an output or a failure, or not deleted in the catalogue."""
    searchable: Sequence[str]
    """IDs of images that search still finds."""

    @property
    def clean(self) -> bool:
        """True if nothing is kept; images that search still finds count only if no message is on its way."""
        return not self.kept and (not self.searchable or self.on_the_way > 0)

    @property
    def final(self) -> bool:
        """True if clean, and no message is under way that could bring anything back."""
        return self.clean and not self.searchable and self.under_way == 0

    @property
    def under_way(self) -> int:
        """Messages for models and for the indexer."""
        return self.in_flight + self.on_the_way


class Eraser:
    """Erases images by ID, chunk by chunk; repeating is harmless."""

    def __init__(
        self,
        *,
        store: Store,
        search: SearchIndex,
        broker: Broker,
        originals: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`originals` is the setting of that name: the URI of an image that was submitted without one."""
        self._store = store
        self._search = search
        self._broker = broker
        self._originals = originals
        self._sleep = sleep

    def erase(self, image_ids: Sequence[str], *, now_ms: int, entries: Sequence[FolderEntry] = ()) -> Erased:
        """Write tombstones first, so that these images reach no model any more; then erase what is kept.

        `entries`: entries of the folder list that are erased besides those that the images' rows lead to.

        Raises: Unavailable; then the same call may be repeated.
        """
        erased = [self._erase(self._read(chunk), now_ms=now_ms) for chunk in chunks(image_ids, CHUNK)]
        self._store.folders.erase(entries)
        return Erased(
            images=sum(chunk.images for chunk in erased),
            outputs=sum(chunk.outputs for chunk in erased),
            failures=sum(chunk.failures for chunk in erased),
            unknown=tuple(image_id for chunk in erased for image_id in chunk.unknown),
            revisions={image_id: number for chunk in erased for image_id, number in chunk.revisions.items()},
        )

    def check(self, image_ids: Sequence[str]) -> Remains:
        """Return what is left of these images. Raises: Unavailable.

        Queues are read before the store: a result that was in none of them had been stored by then.
        """
        on_delay, in_flight, on_the_way = self._under_way()
        records = [record for chunk in chunks(image_ids, CHUNK) for record in self._read(chunk)]
        return Remains(
            in_flight=in_flight,
            delayed=on_delay,
            on_the_way=on_the_way,
            kept=[record for record in records if record.keys or record.in_catalogue],
            searchable=[record.image_id for record in records if record.in_search],
        )

    def _read(self, image_ids: Sequence[str]) -> list[ImageRecord]:
        return read_image_records(image_ids, store=self._store, search=self._search)

    def _erase(self, records: Sequence[ImageRecord], *, now_ms: int) -> Erased:
        known = [record for record in records if not record.empty]
        revisions = {record.image_id: self._tombstone_revision(record) for record in known}
        entries = [entry for record in known for entry in self._entries(record)]
        publish(
            [Entry(image_id, None, revision, "deleted") for image_id, revision in revisions.items()],
            self._broker.uploads,
            Lane.LIVE,
            now_ms=now_ms,
        )
        self._store.catalogue.put(
            [
                CatalogueImage(
                    image_id=image_id,
                    revision=revision,
                    image_uri="",
                    event="deleted",
                    occurred_at_ms=now_ms,
                )
                for image_id, revision in revisions.items()
            ]
        )
        self._store.outputs.erase(list(revisions))
        self._store.folders.erase(entries)
        return Erased(
            images=len(known),
            outputs=sum(len(record.outputs) for record in known),
            failures=sum(len(record.failures) for record in known),
            unknown=tuple(record.image_id for record in records if record.empty),
            revisions=revisions,
        )

    def _entries(self, record: ImageRecord) -> list[FolderEntry]:
        """Return the entries of the folder list at all paths that the image had."""
        path = path_in(record.row.image_uri) if record.row else None
        return history_of(self._store.folders, record.image_id, path) if path is not None else []

    def _tombstone_revision(self, record: ImageRecord) -> int:
        """Return one revision above all that are known of the image.

        A tombstone that has the highest revision already is kept, unless its URI shows more than the ID does.
        """
        revisions = [key.revision for key in record.keys]
        if record.document:
            revisions.append(record.document.revision)
        newest = max(revisions, default=0)
        row = record.row
        if row is None:
            return min(newest + 1, MAX_REVISION)
        default_uri = original_uri(ImageMessage(image_id=row.image_id), self._originals)
        if row.deleted and row.revision >= newest and row.image_uri in ("", default_uri):
            return row.revision
        return min(max(newest, row.revision) + 1, MAX_REVISION)

    def _under_way(self) -> tuple[int, int, int]:
        """Return the messages on a retry delay, the other messages for models, and those for the indexer."""
        counts, lag_s = self._counts(), self._broker.depth_lag_s
        # A broker whose counts lag may show none just now, so they are read again once they have caught up.
        for _ in range(HOPS if lag_s else 0):
            if any(counts[1:]):
                break
            self._sleep(lag_s)
            counts = self._counts()
        return counts

    def _counts(self) -> tuple[int, int, int]:
        versions = {*all_versions(self._store.registry), *self._broker.topology.bound()}
        depths = [self._broker.model_queue(version).depth() for version in versions]
        return sum(map(delayed, depths)), sum(map(at_work, depths)), self._on_the_way()

    def _on_the_way(self) -> int:
        return total(self._broker.catalogue().depth()) + total(self._broker.results().depth())
