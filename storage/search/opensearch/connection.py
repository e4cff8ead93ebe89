"""Requests to one cluster, over connections that its driver keeps."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from panopticon.errors import Unavailable
from storage.drivers import silence, trusting
from storage.search.opensearch.errors import translated
from storage.search.opensearch.url import OpenSearchAddress

CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSearchTimeouts:
    """The longest waits for OpenSearch."""

    answer_s: float = 20.0
    """The time for each request, and for opening a connection."""
    shard_s: float = 5.0
    """The time that the server itself waits for a missing shard before it reports an error."""


class OpenSearchConnection:
    """A client of one cluster. It connects at first use, and several threads may share it."""

    def __init__(self, address: OpenSearchAddress, timeouts: OpenSearchTimeouts) -> None:
        self.address = address
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._client: OpenSearch | None = None

    @property
    def shard_wait(self) -> str:
        """`shard_s` in the form of a request parameter: `5000ms`."""
        return f"{round(self._timeouts.shard_s * 1000)}ms"

    def ask(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Send one request and return the parsed answer. `body`: an object for JSON, or finished text.

        Raises: UsageError if a person has to act, Unavailable if waiting helps, Gone if something that is
        needed was deleted.
        """
        asked = {**params, "request_timeout": self._timeouts.answer_s}
        with self._lock:
            if self._client is None:
                self._client = _new_client(self.address)
            client = self._client
        try:
            return client.transport.perform_request(method, path, params=asked, body=body)
        except OpenSearchException as error:
            translation = translated(error, self.address)
            if translation is error:
                raise
            # A person's mistake needs no traceback of the driver; an outage may.
            raise translation from (error if isinstance(translation, Unavailable) else None)

    def bulk(self, lines: str) -> list[Mapping[str, Any]]:
        """Send updates; return the answer to each, successful or not, in order. Raises: see `ask`."""
        answer = self.ask("POST", "/_bulk", lines, require_alias="true", timeout=self.shard_wait)
        return [item["update"] for item in answer["items"]]

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _new_client(address: OpenSearchAddress) -> OpenSearch:
    """Raise UsageError for a cafile that holds no certificate."""
    # The driver logs each failed request with its body.
    silence("opensearch")
    return OpenSearch(
        hosts=[{"host": host, "port": port} for host, port in address.hosts],
        http_auth=(address.user, address.password) if address.user else None,
        use_ssl=address.tls,
        ssl_context=trusting(address.cafile, setting="search") if address.tls else None,
        pool_maxsize=CONNECTIONS,
        # Each node is asked once at most.
        max_retries=len(address.hosts) - 1,
    )
