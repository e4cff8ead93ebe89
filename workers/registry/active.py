"""Which versions a query is answered from."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.errors import UsageError
from panopticon.interfaces import Registry
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.results.outputs import VersionName

Active = dict[VersionName, tuple[ModelEntry, VersionEntry]]


def active_versions(registry: Registry) -> Active:
    """Every active version, as the registry says at this moment.

    Raises: UsageError while no model answers queries.
    """
    entries = [entry for model in registry.models() if (entry := registry.read(model))]
    active = {
        name: (entry, version)
        for entry in entries
        if (name := entry.active) and (version := entry.version(name.version))
    }
    if not active:
        raise UsageError(f"no model is active, so nothing can be found; {_way_out(entries)}")
    return active


def _way_out(entries: Sequence[ModelEntry]) -> str:
    there = ", ".join(f"{entry.model}@{version.version}" for entry in entries for version in entry.versions)
    if not there:
        return "begin with: panopticon index PATH"
    return f"let a version answer: panopticon models activate NAME@V (registered: {there})"


def parts_of(active: Active) -> tuple[str, ...]:
    """Their parts of a document, sorted."""
    return tuple(sorted(name.part for name in active))
