"""Keyspaces of the tests, and access to them without the store."""

from __future__ import annotations

from typing import Any, Self

from cassandra.cluster import Session

from storage.stores.cassandra.connection import CassandraTimeouts, new_cluster
from storage.stores.cassandra.url import address_of

PATIENT = CassandraTimeouts(connect_s=30.0, request_s=20.0, patience_s=60.0)
"""For tests that are not about time: on a busy machine a connection may take more than five seconds."""
TABLES = (
    "outputs",
    "failures",
    "failures_by_day",
    "failure_days",
    "catalogue",
    "image_ids",
    "registry",
    "archive",
    "heartbeats",
    "folder_roots",
    "folder_list",
)


def at_keyspace(server_url: str, keyspace: str, *, options: str = "create=1&replication=1") -> str:
    """Return the URL of a keyspace on a server, with the options of the server's URL."""
    server, _, kept = server_url.partition("?")
    return f"{server}/{keyspace}?{'&'.join(part for part in (kept, options) if part)}"


class BackDoor:
    """A session in which a test executes statements of its own in one keyspace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.address = address_of(url)
        self._cluster = new_cluster(self.address, PATIENT)
        self._session: Session = self._cluster.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, cql: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement; `{}` stands for the keyspace, and `%s` for a value."""
        return list(self._session.execute(cql.replace("{}", self.address.keyspace), values, timeout=30))

    def empty(self) -> None:
        """Truncate every table, all at once, since each takes a while."""
        cleared = [
            self._session.execute_async(f"TRUNCATE {self.address.keyspace}.{table}", timeout=30)
            for table in TABLES
        ]
        for each in cleared:
            each.result()

    def close(self) -> None:
        self._cluster.shutdown()
