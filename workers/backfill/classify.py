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
    states: dict[str, State] = {}
    # A chunk of unknown IDs alone needs no further look-ups.
    if rows:
        stored = store.outputs.get(list(rows), version).keys()
        failures = {failure.key: failure for failure in store.outputs.failures_of(list(rows))}
        for image_id, row in rows.items():
            key = version.key(image_id, row.revision)
            states[image_id] = state_of(
                row, has_output=key in stored, failure=failures.get(key), retired=False
            )
    found = list(states.values())
    return Classified(
        missing=[rows[image_id] for image_id in image_ids if states.get(image_id) is State.PENDING],
        stored=found.count(State.STORED),
        skipped=found.count(State.DEAD) + found.count(State.SKIPPED),
        unknown=[image_id for image_id in image_ids if image_id not in rows],
    )
