"""The versions that queries are answered from."""

from __future__ import annotations

from panopticon.errors import UsageError
from panopticon.interfaces import Registry
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.results.outputs import VersionName
from workers.registry.records import all_versions


class NothingActive(UsageError):  # noqa: N818
    """No version of any model is active, so that no question can be answered."""


Active = dict[VersionName, tuple[ModelEntry, VersionEntry]]
"""Active versions with their model's whole record and their own entry in it."""


def active_versions(registry: Registry) -> Active:
    """Return every active version, as the registry has it at this moment.

    Raises: NothingActive, Unavailable.
    """
    registered = all_versions(registry)
    active = {name: (model, entry) for name, (model, entry) in registered.items() if model.active == name}
    if active:
        return active
    if not registered:
        raise NothingActive("no model is active, so nothing can be found; begin with: panopticon index PATH")
    raise NothingActive(
        "no model is active, so nothing can be found; let a version answer: "
        f"panopticon models activate NAME@V (registered: {', '.join(map(str, registered))})"
    )


def parts_of(active: Active) -> tuple[str, ...]:
    """Return the names of the versions' parts of a search document, sorted."""
    return tuple(sorted(name.part for name in active))
