"""Models' records: read, with the mistake of a wrong name in one line, and swapped once."""

from __future__ import annotations

from collections.abc import Mapping

from panopticon.errors import UsageError
from panopticon.interfaces import Registry, Store
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.registry.transitions import known_version, name_of
from panopticon.results.outputs import VersionName


def read_model(model: str, registry: Registry) -> ModelEntry:
    """Raises: UsageError naming the models that are registered; Unavailable."""
    entry = registry.read(model)
    if entry is None:
        known = ", ".join(registry.models()) or "none"
        raise UsageError(f"{model} is not registered; registered: {known}")
    return entry


def read_version(name: VersionName, registry: Registry) -> tuple[ModelEntry, VersionEntry]:
    """Raises: UsageError naming what is registered; Unavailable."""
    model = read_model(name.model, registry)
    return model, known_version(model, name.version)


def swap_once(expected: ModelEntry | None, changed: ModelEntry, registry: Registry) -> ModelEntry:
    """What is there now. Raises: UsageError naming who was first, when and with what; Unavailable."""
    if not registry.swap(expected, changed):
        raise UsageError(_overtaken(changed.model, registry.read(changed.model)))
    return changed


def _overtaken(model: str, now: ModelEntry | None) -> str:
    if now is None or not now.history:
        return f"{model} was changed by somebody else at the same moment; nothing was done, look again"
    return (
        f"{model} was changed meanwhile: {now.history[-1].summary}; nothing was done, look at it and decide "
        f"again: panopticon models history {model}"
    )


def registered(store: Store) -> list[tuple[VersionName, VersionEntry]]:
    """Every version in the registry, retired ones too, ordered by name and version."""
    entries = [entry for model in store.registry.models() if (entry := store.registry.read(model))]
    return [
        (VersionName(model=entry.model, version=version.version), version)
        for entry in entries
        for version in entry.versions
    ]


Registered = Mapping[VersionName, tuple[ModelEntry, VersionEntry]]


def registered_models(registry: Registry) -> Registered:
    """Every version with its model's whole record, retired ones too. Raises: Unavailable."""
    models = [entry for model in registry.models() if (entry := registry.read(model))]
    return {name_of(model, entry): (model, entry) for model in models for entry in model.versions}
