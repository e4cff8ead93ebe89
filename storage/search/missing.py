"""The error of a search index that does not exist."""

from __future__ import annotations

from panopticon.errors import Unavailable

REBUILD = "panopticon search rebuild --all"
CREATED_OR_REBUILT = f"panopticon indexer creates it in a new installation; otherwise: {REBUILD}"
"""The advice of `doctor` for an index that does not exist."""


def missing(address: str, seen: str) -> Unavailable:
    """Return the error with the way out; work goes on by itself once there is an index.

    `seen`: the observation, such as `there is no index photos`.
    """
    advice = "panopticon indexer creates it in a new installation"
    return Unavailable("search", f"{address}: {seen}; to rebuild it: {REBUILD} ({advice})")
