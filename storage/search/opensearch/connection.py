"""How a cluster is connected to, and asked."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from panopticon.errors import Unavailable, UsageError
from storage.search.opensearch.errors import translated
from storage.search.opensearch.url import Address

CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long is waited for OpenSearch."""

    answer_s: float = 20.0
    """For each request, and for a connection."""
    shard_s: float = 5.0
    """How long the server itself waits for a shard that is missing, before it says so."""


class Connection:
    """Requests to one cluster. Connects at first use. Threads may share one."""

    def __init__(self, address: Address, timeouts: Timeouts) -> None:
        self.address = address
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._client: OpenSearch | None = None

    @property
    def shard_wait(self) -> str:
        """How long the server is to wait for a shard, as it reads it."""
        return f"{round(self._timeouts.shard_s * 1000)}ms"

    def ask(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """The parsed answer. `body`: JSON, or text that already is.

        Raises: UsageError where a person has to do something, Unavailable where waiting helps, Gone.
        """
        asked = {**params, "request_timeout": self._timeouts.answer_s}
        try:
            return self._connected().transport.perform_request(method, path, params=asked, body=body)
        except OpenSearchException as error:
            verdict = translated(error, self.address)
            if verdict is error:
                raise
            raise verdict from (error if isinstance(verdict, Unavailable) else None)

    def bulk(self, lines: str) -> list[Mapping[str, Any]]:
        """An answer for each update, in order, whatever became of it. Raises: see `ask`."""
        answer = self.ask("POST", "/_bulk", lines, require_alias="true", timeout=self.shard_wait)
        return [item["update"] for item in answer["items"]]

    def close(self) -> None:
        """The next use connects anew."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> OpenSearch:
        with self._lock:
            if self._client is None:
                self._client = _new_client(self.address)
            return self._client


def _new_client(address: Address) -> OpenSearch:
    """Raises: UsageError for a cafile that holds no certificate."""
    _hush()
    return OpenSearch(
        hosts=[{"host": host, "port": port} for host, port in address.hosts],
        http_auth=(address.user, address.password) if address.user else None,
        use_ssl=address.tls,
        ssl_context=_trust(address),
        pool_maxsize=CONNECTIONS,
        # Another node is asked where one cannot serve, and nobody twice.
        max_retries=len(address.hosts) - 1,
    )


def _trust(address: Address) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    try:
        return ssl.create_default_context(cafile=address.cafile)
    except ssl.SSLError:
        raise UsageError(f"search: cafile {address.cafile}: holds no certificate in PEM") from None


def _hush() -> None:
    """The driver logs each failed request with its body; its callers learn of it by an error."""
    log = logging.getLogger("opensearch")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
