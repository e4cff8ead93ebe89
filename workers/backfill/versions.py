"""Which versions a backfill may be of."""

from __future__ import annotations

from panopticon.errors import UsageError
from panopticon.interfaces import Store
from panopticon.outputs import VersionName
from panopticon.registry import VersionState
from workers.standing import registered


def refuse_unfed(version: VersionName, store: Store) -> None:
    """Raises: UsageError unless the version takes images; Unavailable."""
    known = dict(registered(store))
    entry = known.get(version)
    if entry is None:
        there = ", ".join(map(str, known))
        raise UsageError(f"unknown model version {version}; registered: {there or 'none'}")
    if entry.state is VersionState.RETIRED:
        raise UsageError(f"{version} is retired and takes no images any more")
    if not entry.state.fed:
        raise UsageError(f"{version} is not fed yet; first: panopticon models shadow {version}")
