"""Stores of outputs, failures, catalogue and registry, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from panopticon.errors import UsageError
from panopticon.interfaces import Store


def open_store(url: str) -> Store:
    """Return the store at `url`, which connects at first use. Raises: UsageError for an unknown scheme."""
    scheme = urlsplit(url).scheme
    if scheme not in _SCHEMES:
        raise UsageError(f"unknown store scheme {scheme!r}; known: {', '.join(_SCHEMES)}")
    return _SCHEMES[scheme](url)


def _sqlite(url: str) -> Store:
    from storage.stores.sqlite import SqliteStore

    return SqliteStore(url)


def _cassandra(url: str) -> Store:
    try:
        from storage.stores.cassandra import CassandraStore
    except ModuleNotFoundError as error:
        if error.name != "cassandra":
            raise
        raise UsageError(
            "store: Cassandra's driver is missing: pip install 'panopticon[cassandra]'"
        ) from None
    return CassandraStore(url)


_SCHEMES: Mapping[str, Callable[[str], Store]] = {"sqlite": _sqlite, "cassandra": _cassandra}
