"""Which versions a backfill may be of."""

from __future__ import annotations

from panopticon.errors import UsageError
from panopticon.interfaces import Store
from panopticon.registry.records import VersionState
from panopticon.results.outputs import VersionName
from workers.registry.records import read_version


def refuse_unfed(version: VersionName, store: Store) -> None:
    """Raises: UsageError unless the version takes images; Unavailable."""
    _, entry = read_version(version, store.registry)
    if entry.state is VersionState.RETIRED:
        raise UsageError(f"{version} is retired and takes no images any more")
    if not entry.state.fed:
        raise UsageError(f"{version} is not fed yet; first: panopticon models shadow {version}")
