"""Brokers, chosen by URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from panopticon.errors import UsageError
from panopticon.interfaces import Broker


def open_broker(url: str, *, lease_s: float = 60.0) -> Broker:
    """The broker at `url`, nothing connected yet. Raises: UsageError for an unknown scheme."""
    scheme = urlsplit(url).scheme
    if scheme != "sqlite":
        raise UsageError(f"unknown broker scheme {scheme!r}; known: sqlite")
    from workers.queues.sqlite import SqliteBroker

    return SqliteBroker(url, lease_s=lease_s)
