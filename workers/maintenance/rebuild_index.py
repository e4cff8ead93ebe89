"""Rebuilding search documents from the store, by ID."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import Applied, SearchRebuild, Store
from panopticon.messages import from_ms
from panopticon.registry.records import VersionState
from panopticon.results.documents import Change, ChangeKind, change_of
from panopticon.results.outputs import CatalogueImage, FailureState, VersionName
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message
from workers.registry.records import all_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The result of rebuilding the documents of some images."""

    images: int
    changes: int
    """Changes made from outputs, failures and deletions."""
    unknown: tuple[str, ...]
    """IDs under which the store keeps nothing."""
    refused: tuple[str, ...]
    """IDs of images with a change that the index refused."""


def policies(store: Store) -> dict[VersionName, ResolvedPolicy | None]:
    """Return the present policy of every version; None for retired ones, which have no parts in documents.

    Raises: as `resolve_policy`.
    """
    return {
        name: None if entry.state is VersionState.RETIRED else resolve_policy(model, entry, store.archive)
        for name, (model, entry) in all_versions(store.registry).items()
    }


class Rebuilder:
    """Rebuilds documents chunk by chunk; repeating is harmless."""

    def __init__(self, *, store: Store, policies: Mapping[VersionName, ResolvedPolicy | None]) -> None:
        self._store = store
        self._policies = policies

    def fill(
        self,
        rebuild: SearchRebuild,
        image_ids: Sequence[str],
        *,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Rebuilt:
        """Apply to `rebuild` every change that is known of these images, and add them to the list of IDs.

        `progress` is called with the number of images of each chunk that is done.
        Raises: Unavailable; then the same call may be repeated.
        """
        return self.fill_pages(rebuild, chunks(image_ids, CHUNK), progress=progress)

    def fill_pages(
        self,
        rebuild: SearchRebuild,
        pages: Iterable[Sequence[str]],
        *,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Rebuilt:
        """Do as `fill` for IDs in pages; a page is done when the next one is asked for."""
        images, count, unknown, refused = 0, 0, [], set()
        for chunk in pages:
            rows = self._store.catalogue.get(chunk)
            # A release without the list may have stored these rows.
            self._store.images.add(list(rows))
            changes = list(self._changes(chunk, rows))
            count += len(changes)
            answers = zip(changes, rebuild.apply(changes), strict=True)
            refused |= {change.image_id for change, answer in answers if answer is Applied.REFUSED}
            known = rows.keys() | {change.image_id for change in changes}
            unknown += [image_id for image_id in chunk if image_id not in known]
            images += len(chunk)
            progress(len(chunk))
        return Rebuilt(images=images, changes=count, unknown=tuple(unknown), refused=tuple(sorted(refused)))

    def _changes(self, image_ids: Sequence[str], rows: Mapping[str, CatalogueImage]) -> Iterator[Change]:
        """Yield every change that these images' documents went through; the merge rule needs no order."""
        for version, policy in self._policies.items():
            for output in self._store.outputs.get(image_ids, version).values():
                image_id, revision = output.key.image_id, output.key.revision
                # A retired version has no part; its output only shows that the image has this revision.
                if policy is None:
                    yield _step(ChangeKind.FAILED, image_id, revision, rows)
                else:
                    at_ms = _occurred_at_ms(image_id, revision, rows)
                    yield change_of(result_message(output, policy, occurred_at=from_ms(at_ms)))
        for failure in self._store.outputs.failures_of(image_ids):
            # Until an image has failed for good, search keeps the results of its older revision.
            if failure.state is FailureState.RETRYING:
                continue
            yield _step(ChangeKind.FAILED, failure.key.image_id, failure.key.revision, rows)
        for row in rows.values():
            if row.deleted:
                yield _step(ChangeKind.DELETED, row.image_id, row.revision, rows)


def _step(kind: ChangeKind, image_id: str, revision: int, rows: Mapping[str, CatalogueImage]) -> Change:
    at_ms = _occurred_at_ms(image_id, revision, rows)
    return Change(kind=kind, image_id=image_id, revision=revision, occurred_at_ms=at_ms)


def _occurred_at_ms(image_id: str, revision: int, rows: Mapping[str, CatalogueImage]) -> int:
    """Return the time of an image's revision; 0 unless it is the catalogue's, which alone keeps its time."""
    row = rows.get(image_id)
    return row.occurred_at_ms if row is not None and row.revision == revision else 0
