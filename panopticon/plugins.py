"""Plug-ins: code named by `module:attribute`, or by an entry point of an installed distribution."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPointPlugin:
    """An entry point and the distribution that provides it."""

    name: str
    distribution: str
    version: str
    attribute: Any
    """The imported object that the entry point names."""

    def __str__(self) -> str:
        return f"{self.name} of {self.distribution} {self.version}"


def load_plugin(name: str) -> Any:
    """Import the object that `module:attribute` names. Raises: ImportError naming what is missing."""
    module, _, attribute = name.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ImportError("not of the form module:attribute")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError as error:
        raise ImportError(str(error)) from error


def find_entry_point(group: str, name: str) -> EntryPointPlugin:
    """Return the one entry point of that group and name. Raises: ImportError, with the way out."""
    found = {point.dist.name: point for point in entry_points(group=group, name=name) if point.dist}
    if not found:
        known = ", ".join(sorted({point.name for point in entry_points(group=group)})) or "none"
        raise ImportError(
            f"no {name!r} among the entry points {group!r}; installed: {known}; "
            "pip install the distribution that provides it"
        )
    if len(found) > 1:
        providers = " and by ".join(sorted(found))
        raise ImportError(f"{name!r} is provided by {providers}; uninstall all but one")
    ((distribution, point),) = found.items()
    version = point.dist.version if point.dist else ""
    try:
        attribute = point.load()
    except (ImportError, AttributeError) as error:
        raise ImportError(f"{name!r} of {distribution} {version}: {error}") from error
    return EntryPointPlugin(name=name, distribution=distribution, version=version, attribute=attribute)
