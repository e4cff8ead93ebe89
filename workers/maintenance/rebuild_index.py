"""Search documents made anew from what the store holds, by ID."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import Applied, SearchRebuild, Store
from panopticon.messages import from_ms
from panopticon.registry.records import VersionState
from panopticon.registry.transitions import name_of
from panopticon.results.documents import Change, ChangeKind, change_of
from panopticon.results.outputs import CatalogueImage, Output, VersionName
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What came of it."""

    images: int
    changes: int
    """Made of outputs, failures and deletes."""
    unknown: tuple[str, ...]
    """The store holds nothing under these IDs."""
    refused: tuple[str, ...]
    """The index refused something of these images."""


def policies(store: Store) -> dict[VersionName, ResolvedPolicy | None]:
    """How each registered version's outputs become parts; None for retired ones, which have none any more.

    Raises: CardError where the store has no card of a version.
    """
    models = [entry for model in store.registry.models() if (entry := store.registry.read(model))]
    return {
        name_of(model, entry): None
        if entry.state is VersionState.RETIRED
        else resolve_policy(model, entry, store.archive)
        for model in models
        for entry in model.versions
    }


class Rebuilder:
    """Works chunk by chunk; repeating is harmless."""

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
        """Give `rebuild` all that is known of these images; `progress` hears how many more are through.

        Raises: Unavailable; then the same call may be repeated.
        """
        count, unknown, refused = 0, [], set()
        for chunk in chunks(image_ids, CHUNK):
            rows = self._store.catalogue.get(chunk)
            changes = list(self._changes(chunk, rows))
            count += len(changes)
            answers = zip(changes, rebuild.apply(changes), strict=True)
            refused |= {change.image_id for change, answer in answers if answer is Applied.REFUSED}
            known = rows.keys() | {change.image_id for change in changes}
            unknown += [image_id for image_id in chunk if image_id not in known]
            progress(len(chunk))
        return Rebuilt(
            images=len(image_ids), changes=count, unknown=tuple(unknown), refused=tuple(sorted(refused))
        )

    def _changes(self, image_ids: Sequence[str], rows: Mapping[str, CatalogueImage]) -> Iterator[Change]:
        """Every step that these images' documents have taken; the merge rule asks for no order."""
        for version, policy in self._policies.items():
            for output in self._store.outputs.get(image_ids, version).values():
                yield _result(output, policy, rows)
        for failure in self._store.outputs.failures_of(image_ids):
            yield _step(ChangeKind.FAILED, failure.key.image_id, failure.key.revision, rows)
        for row in rows.values():
            if row.deleted:
                yield _step(ChangeKind.DELETED, row.image_id, row.revision, rows)


def _result(output: Output, policy: ResolvedPolicy | None, rows: Mapping[str, CatalogueImage]) -> Change:
    """Of a retired version it only tells that there was this revision."""
    key = output.key
    if policy is None:
        return _step(ChangeKind.FAILED, key.image_id, key.revision, rows)
    occurred_at_ms = _occurred_at_ms(key.image_id, key.revision, rows)
    return change_of(result_message(output, policy, occurred_at=from_ms(occurred_at_ms)))


def _step(kind: ChangeKind, image_id: str, revision: int, rows: Mapping[str, CatalogueImage]) -> Change:
    at_ms = _occurred_at_ms(image_id, revision, rows)
    return Change(kind=kind, image_id=image_id, revision=revision, occurred_at_ms=at_ms)


def _occurred_at_ms(image_id: str, revision: int, rows: Mapping[str, CatalogueImage]) -> int:
    """Kept for the catalogue's revision only; 0 for an older one, whose successor is on its way."""
    row = rows.get(image_id)
    return row.occurred_at_ms if row is not None and row.revision == revision else 0
