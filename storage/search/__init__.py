"""Search indexes, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from panopticon.errors import UsageError
from panopticon.interfaces import SearchIndex


def open_search(url: str) -> SearchIndex:
    """Return the index at `url`, which connects at first use. Raises: UsageError for an unknown scheme."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in _SCHEMES:
        raise UsageError(f"unknown search scheme {scheme!r}; known: {', '.join(_SCHEMES)}")
    return _SCHEMES[scheme](url)


def _sqlite(url: str) -> SearchIndex:
    from storage.search.sqlite import SqliteSearchIndex

    return SqliteSearchIndex(url)


def _opensearch(url: str) -> SearchIndex:
    try:
        from storage.search.opensearch import OpenSearchIndex
    except ModuleNotFoundError as error:
        if error.name != "opensearchpy":
            raise
        raise UsageError(
            "search: OpenSearch's driver is missing: pip install 'panopticon[opensearch]'"
        ) from None
    return OpenSearchIndex(url)


_SCHEMES: Mapping[str, Callable[[str], SearchIndex]] = {"sqlite": _sqlite, "opensearch": _opensearch}
