"""Indexes of the tests, and access to them without the adapter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from panopticon.errors import Unavailable
from storage.search.opensearch.connection import OpenSearchConnection, OpenSearchTimeouts
from storage.search.opensearch.url import address_of

RECOVERY_S = 60.0

T = TypeVar("T")


def eventually(call: Callable[[], T]) -> T:
    """Return what `call` returns, repeated for a limited time while it raises `Unavailable`."""
    until_s = time.monotonic() + RECOVERY_S
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)


class Place:
    """One name on one server, and the indexes under that name."""

    def __init__(self, server_url: str) -> None:
        """Choose a new name. `server_url`: a URL without an index; its options are kept."""
        self.name = f"test-{uuid4().hex[:12]}"
        server, mark, options = server_url.partition("?")
        self.url = f"{server}/{self.name}{mark}{options}"
        self._connection = OpenSearchConnection(address_of(self.url), OpenSearchTimeouts())

    def ask(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Send a request; `{}` in `path` stands for the name."""
        return self._connection.ask(method, path.replace("{}", self.name), body, **params)

    def indexes(self) -> dict[str, set[str]]:
        """Return every index with its aliases."""
        found = self.ask("GET", "/{}*/_alias")
        return {index: set(entry["aliases"]) for index, entry in found.items()}

    def refresh(self) -> None:
        """Return when everything that was applied can be found."""
        self.ask("POST", "/{}*/_refresh")

    def empty(self) -> None:
        """Delete all documents; the indexes stay."""
        everything: Any = {"query": {"match_all": {}}}
        self.refresh()
        self.ask("POST", "/{}*/_delete_by_query", everything, refresh="true")

    def block(self, setting: str, value: bool | None) -> None:
        """Set a block, such as `read_only_allow_delete`, which a node with a full disk sets by itself."""
        self.ask("PUT", "/{}*/_settings", {f"index.blocks.{setting}": value})

    def drop(self) -> None:
        for index in self.indexes():
            self.ask("DELETE", f"/{index}")
        self._connection.close()
