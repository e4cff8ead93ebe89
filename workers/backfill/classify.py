"""Classify images by what the store has of them for one version, at the catalogue's revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panopticon.interfaces import Store
from panopticon.results.ledger import State, state_of
from panopticon.results.outputs import CatalogueImage, VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """A chunk of IDs, each counted in exactly one field."""

    missing: Sequence[CatalogueImage]
    """Pending images in the order of the chunk: no output, and no failure that is dead or discarded."""
    stored: int
    skipped: int
    """Number of images that are deleted, dead or discarded."""
    unknown: Sequence[str]
    """IDs that the catalogue does not have."""


def classify(image_ids: Sequence[str], version: VersionName, store: Store) -> Classified:
    """Classify different IDs with one look-up of each kind. Raises: Unavailable."""
    rows = store.catalogue.get(image_ids)
    states = _states(list(rows.values()), version, store)
    found = list(states.values())
    return Classified(
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
