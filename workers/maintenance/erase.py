"""Removing what was ever said of an image, and looking whether any of it came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.depths import HOPS, total
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import MAX_REVISION, ImageMessage, Lane
from panopticon.results.documents import SearchDocument
from panopticon.results.originals import original_uri
from panopticon.results.outputs import CatalogueImage, Failure, Output, OutputKey
from workers.registry.records import registered
from workers.submission.submit import Entry, publish


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is kept of one image."""

    image_id: str
    row: CatalogueImage | None
    outputs: Sequence[Output]
    failures: Sequence[Failure]
    document: SearchDocument | None

    @property
    def known(self) -> bool:
        """Whether anything at all is kept under this ID."""
        return bool(self.row or self.outputs or self.failures or self.document)

    @property
    def keys(self) -> list[OutputKey]:
        """Of its outputs and failures, each once."""
        return sorted({output.key for output in self.outputs} | {failure.key for failure in self.failures})

    @property
    def searchable(self) -> bool:
        return self.document is not None and not self.document.deleted

    @property
    def open(self) -> bool:
        """Known to the catalogue and not as deleted, so that it may be fed to a model again."""
        return self.row is not None and not self.row.deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was removed."""

    images: int
    outputs: int
    failures: int
    unknown: tuple[str, ...]
    """Nothing was kept under these IDs; nothing was written either."""
    revisions: Mapping[str, int]
    """Of each tombstone; only a higher one brings the image back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left of images that were erased."""

    in_flight: int
    """Messages for models, waiting, held or retrying: one of these images may be among them."""
    on_the_way: int
    """Messages for the indexer: search may not have heard of the erasure yet."""
    kept: Sequence[Held]
    """Those with an output or a failure, or not deleted in the catalogue."""
    searchable: Sequence[str]

    @property
    def clean(self) -> bool:
        """Nothing is kept; what search still shows counts once no message is on its way."""
        return not self.kept and (not self.searchable or self.on_the_way > 0)

    @property
    def final(self) -> bool:
        """Clean, and nothing is under way that could bring anything back."""
        return self.clean and not self.searchable and self.under_way == 0

    @property
    def under_way(self) -> int:
        return self.in_flight + self.on_the_way


class Eraser:
    """Works chunk by chunk, by ID; repeating is harmless."""

    def __init__(
        self,
        *,
        store: Store,
        search: SearchIndex,
        broker: Broker,
        originals: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`originals` is the setting: the URI that the catalogue keeps of an image without its own."""
        self._store = store
        self._search = search
        self._broker = broker
        self._originals = originals
        self._sleep = sleep

    def erase(self, image_ids: Sequence[str], *, now_ms: int) -> Erased:
        """Tombstones first, so that nothing feeds these images to a model any more; then what is kept.

        Raises: Unavailable; then the same call may be repeated.
        """
        parts = [self._erase(self._held(chunk), now_ms=now_ms) for chunk in chunks(image_ids, CHUNK)]
        return Erased(
            images=sum(part.images for part in parts),
            outputs=sum(part.outputs for part in parts),
            failures=sum(part.failures for part in parts),
            unknown=tuple(image_id for part in parts for image_id in part.unknown),
            revisions={image_id: number for part in parts for image_id, number in part.revisions.items()},
        )

    def look(self, image_ids: Sequence[str]) -> Remains:
        """Queues are read before the store: what was in none of them had been stored by then."""
        in_flight, on_the_way = self._under_way()
        held = [one for chunk in chunks(image_ids, CHUNK) for one in self._held(chunk)]
        return Remains(
            in_flight=in_flight,
            on_the_way=on_the_way,
            kept=[one for one in held if one.keys or one.open],
            searchable=[one.image_id for one in held if one.searchable],
        )

    def _erase(self, held: Sequence[Held], *, now_ms: int) -> Erased:
        known = [one for one in held if one.known]
        revisions = {one.image_id: self._tombstone_revision(one) for one in known}
        ids = [one.image_id for one in known]
        publish(
            [Entry(image_id, None, revision, "deleted") for image_id, revision in revisions.items()],
            self._broker.uploads,
            Lane.LIVE,
            now_ms=now_ms,
        )
        self._store.catalogue.put([_tombstone(*pair, now_ms=now_ms) for pair in revisions.items()])
        self._store.outputs.erase(ids)
        return Erased(
            images=len(known),
            outputs=sum(len(one.outputs) for one in known),
            failures=sum(len(one.failures) for one in known),
            unknown=tuple(one.image_id for one in held if not one.known),
            revisions=revisions,
        )

    def _tombstone_revision(self, held: Held) -> int:
        """One above all that is known of the image, unless a tombstone that names no original tops it."""
        beside = [held.document.revision] if held.document else []
        newest = max([key.revision for key in held.keys] + beside, default=0)
        row = held.row
        if row is None:
            return min(newest + 1, MAX_REVISION)
        if row.deleted and row.revision >= newest and self._names_nothing(row):
            return row.revision
        return min(max(newest, row.revision) + 1, MAX_REVISION)

    def _names_nothing(self, row: CatalogueImage) -> bool:
        """Whether its URI tells no more than its ID does."""
        return row.image_uri in ("", original_uri(ImageMessage(image_id=row.image_id), self._originals))

    def _held(self, image_ids: Sequence[str]) -> list[Held]:
        rows, documents = self._store.catalogue.get(image_ids), self._search.get(image_ids)
        failures = self._store.outputs.failures_of(image_ids)
        return [
            Held(
                image_id=image_id,
                row=rows.get(image_id),
                outputs=self._store.outputs.versions_of(image_id),
                failures=[failure for failure in failures if failure.key.image_id == image_id],
                document=documents.get(image_id),
            )
            for image_id in image_ids
        ]

    def _under_way(self) -> tuple[int, int]:
        """For models, and for the indexer. Where both seem empty, later looks tell whether they are."""
        counts, lag_s = (self._in_flight(), self._on_the_way()), self._broker.depth_lag_s
        for _ in range(HOPS if lag_s else 0):
            if any(counts):
                break
            self._sleep(lag_s)
            counts = self._in_flight(), self._on_the_way()
        return counts

    def _in_flight(self) -> int:
        versions = {name for name, _ in registered(self._store)} | set(self._broker.topology.bound())
        return sum(total(self._broker.model_queue(version).depth()) for version in versions)

    def _on_the_way(self) -> int:
        return total(self._broker.catalogue().depth()) + total(self._broker.results().depth())


def _tombstone(image_id: str, revision: int, *, now_ms: int) -> CatalogueImage:
    return CatalogueImage(
        image_id=image_id, revision=revision, image_uri="", event="deleted", occurred_at_ms=now_ms
    )
