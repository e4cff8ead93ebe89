"""Stores of outputs, failures, catalogue and registry, chosen by URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from panopticon.errors import UsageError
from panopticon.interfaces import Store


def open_store(url: str) -> Store:
    """The store at `url`, nothing connected yet. Raises: UsageError for an unknown scheme."""
    scheme = urlsplit(url).scheme
    if scheme != "sqlite":
        raise UsageError(f"unknown store scheme {scheme!r}; known: sqlite")
    from storage.outputs.sqlite import SqliteStore

    return SqliteStore(url)
