"""Search indexes, chosen by URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from panopticon.errors import UsageError
from panopticon.interfaces import SearchIndex


def open_search(url: str) -> SearchIndex:
    """The index at `url`, nothing connected yet. Raises: UsageError for an unknown scheme."""
    scheme = urlsplit(url).scheme
    if scheme != "sqlite":
        raise UsageError(f"unknown search scheme {scheme!r}; known: sqlite")
    from storage.search.sqlite import SqliteSearchIndex

    return SqliteSearchIndex(url)
