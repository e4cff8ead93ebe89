"""Reading models' records from the registry, with one clear line for a wrong name, and swapping one once."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.errors import UsageError
from panopticon.interfaces import Registry
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.registry.transitions import known_version, name_of
from panopticon.results.outputs import VersionName

Registered = Mapping[VersionName, tuple[ModelEntry, VersionEntry]]
"""Versions with their model's whole record and their own entry in it."""


def all_versions(registry: Registry) -> Registered:
    """Return every version of every model, retired ones too, ordered by name and version.

    Raises: Unavailable.
    """
    models = [entry for model in registry.models() if (entry := registry.read(model))]
    return {name_of(model, entry): (model, entry) for model in models for entry in model.versions}


def read_model(model: str, registry: Registry) -> ModelEntry:
    """Return a model's record. Raises: UsageError naming the registered models; Unavailable."""
    entry = registry.read(model)
    if entry is None:
        known = ", ".join(registry.models()) or "none"
        raise UsageError(f"{model} is not registered; registered: {known}")
    return entry


def read_version(name: VersionName, registry: Registry) -> tuple[ModelEntry, VersionEntry]:
    """Return a version's entry after its model's record.

    Raises: UsageError naming what is registered; Unavailable.
    """
    model = read_model(name.model, registry)
    return model, known_version(model, name.version)


def swap_once(expected: ModelEntry | None, changed: ModelEntry, registry: Registry) -> ModelEntry:
    """Replace a model's record and return the new one.

    Raises: UsageError naming who changed it first, when and how; Unavailable.
    """
    if registry.swap(expected, changed):
        return changed
    model, now = changed.model, registry.read(changed.model)
    if now is None or not now.history:
        raise UsageError(
            f"{model} was changed by somebody else at the same moment; nothing was done, look at it again"
        )
    raise UsageError(
        f"{model} was changed meanwhile: {now.history[-1].summary}; nothing was done, look at it and decide "
        f"again: panopticon models history {model}"
    )
