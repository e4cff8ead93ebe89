"""What a version lacks of given images: by the store, by ID, at the catalogue's revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panopticon.interfaces import Store
from panopticon.results.ledger import State, state_of
from panopticon.results.outputs import CatalogueImage, VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """A chunk of IDs, each in exactly one of these."""

    missing: Sequence[CatalogueImage]
    stored: int
    skipped: int
    """Deleted, dead or discarded."""
    unknown: Sequence[str]


def sort_out(image_ids: Sequence[str], version: VersionName, store: Store) -> Sorted:
    """One look-up of each kind. The IDs differ. Raises: Unavailable."""
    rows = store.catalogue.get(image_ids)
    states = _states(list(rows.values()), version, store)
    found = list(states.values())
    return Sorted(
        missing=[rows[image_id] for image_id in image_ids if states.get(image_id) is State.PENDING],
        stored=found.count(State.STORED),
        skipped=found.count(State.DEAD) + found.count(State.SKIPPED),
        unknown=[image_id for image_id in image_ids if image_id not in rows],
    )


def _states(rows: Sequence[CatalogueImage], version: VersionName, store: Store) -> dict[str, State]:
    if not rows:
        return {}
    image_ids = [row.image_id for row in rows]
    stored = store.outputs.get(image_ids, version).keys()
    failures = {failure.key: failure for failure in store.outputs.failures_of(image_ids)}
    return {
        row.image_id: state_of(row, has_output=key in stored, failure=failures.get(key), retired=False)
        for row in rows
        for key in [version.key(row.image_id, row.revision)]
    }
