"""Indexes of the tests, and a way into them beside the adapter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from panopticon.errors import Unavailable
from storage.search.opensearch.connection import Connection, OpenSearchTimeouts
from storage.search.opensearch.url import address_of

RECOVERY_S = 60.0

T = TypeVar("T")


def eventually(call: Callable[[], T]) -> T:
    """What the call returns once it raises `Unavailable` no more; a bounded time."""
    until_s = time.monotonic() + RECOVERY_S
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)


class Place:
    """One name for indexes on one server, and whatever is kept under it."""

    def __init__(self, server_url: str) -> None:
        """`server_url`: without an index; its options stay."""
        self.name = f"test-{uuid4().hex[:12]}"
        server, mark, options = server_url.partition("?")
        self.url = f"{server}/{self.name}{mark}{options}"
        self._connection = Connection(address_of(self.url), OpenSearchTimeouts())

    def ask(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """`{}` in `path` stands for the name."""
        return self._connection.ask(method, path.replace("{}", self.name), body, **params)

    def indexes(self) -> dict[str, set[str]]:
        """Each with its aliases."""
        found = self.ask("GET", "/{}*/_alias")
        return {index: set(entry["aliases"]) for index, entry in found.items()}

    def refresh(self) -> None:
        """Everything that was applied can be found when it returns."""
        self.ask("POST", "/{}*/_refresh")

    def empty(self) -> None:
        """Every index is there still, and no document."""
        everything: Any = {"query": {"match_all": {}}}
        self.refresh()
        self.ask("POST", "/{}*/_delete_by_query", everything, refresh="true")

    def block(self, setting: str, value: bool | None) -> None:
        """Such as `read_only_allow_delete`, which a node sets by itself when its disk is full."""
        self.ask("PUT", "/{}*/_settings", {f"index.blocks.{setting}": value})

    def drop(self) -> None:
        for index in self.indexes():
            self.ask("DELETE", f"/{index}")
        self._connection.close()
