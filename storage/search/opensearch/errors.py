"""Errors of the driver and of the server, translated to those of Panopticon. No text has a credential."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import OpenSearchException, SerializationError, TransportError

from panopticon.errors import Unavailable, UsageError
from storage.search.opensearch.url import OpenSearchAddress

PART = "search"

_SLOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_DOWN = ("cluster_block_exception", "circuit_breaking_exception", "index_closed_exception")
_GONE = ("index_not_found_exception", "resource_not_found_exception")


class Gone(Exception):  # noqa: N818
    """The error of an alias, index or script that was deleted: it must be looked up and created again."""


def translated(error: OpenSearchException, address: OpenSearchAddress) -> Exception:
    """Return a `UsageError`, an `Unavailable`, a `Gone`, or the error itself if it is a bug."""
    if isinstance(error, SerializationError):
        return not_opensearch(address)
    if isinstance(error, NoConnection):
        return _unreached(error, address)
    if isinstance(error, TransportError):
        return _answered(error, address)
    return error


def unavailable(address: OpenSearchAddress, reason: str) -> Unavailable:
    """Return the error of an index that does not do what it is asked."""
    return Unavailable(PART, f"{address}: {reason}")


def not_opensearch(address: OpenSearchAddress) -> UsageError:
    """Return the error of a server that is not OpenSearch."""
    return UsageError(f"search {address}: the server there is not OpenSearch; check host and port")


def is_down(status: int, cause: Mapping[str, Any]) -> bool:
    """Return whether waiting helps: the server is overloaded, lacks a shard, or has a full disk."""
    if status in _SLOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return True
    return any(kind in _DOWN for kind, _ in _chain(cause))


def is_gone(cause: Mapping[str, Any]) -> bool:
    """Return whether an alias, an index or the script does not exist."""
    return any(kind in _GONE for kind, _ in _chain(cause))


def line_of(cause: Mapping[str, Any]) -> str:
    """Return an error of the server and its causes in one line."""
    return " ".join(" ← ".join(f"{kind}: {reason}" for kind, reason in _chain(cause)).split())[:300]


def _chain(cause: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and reason of an error, and of each of its causes."""
    link: object = cause
    while isinstance(link, Mapping):
        yield str(link.get("type")), str(link.get("reason"))
        link = link.get("caused_by")


def _unreached(error: NoConnection, address: OpenSearchAddress) -> Exception:
    text = " ".join(str(error.error).split())
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return UsageError(
            f"search {address}: the certificate of a node does not verify; cafile must hold what signed it,"
            " and the URL must name a host that it is for"
        )
    if isinstance(error.info, ssl.SSLError) or "WRONG_VERSION_NUMBER" in text:
        return UsageError(f"search {address}: the port does not use TLS; check the port, or remove tls=1")
    return unavailable(address, f"no answer ({text})")


def _answered(error: TransportError, address: OpenSearchAddress) -> Exception:
    status = int(error.status_code)
    info = error.info if isinstance(error.info, Mapping) else {}
    cause = info.get("error")
    # A proxy in front of the server may answer in another form.
    if not isinstance(cause, Mapping):
        cause = {"type": error.error, "reason": cause or "no reason given"}
    # OpenSearch never redirects.
    if status < HTTPStatus.BAD_REQUEST:
        return not_opensearch(address)
    if status == HTTPStatus.UNAUTHORIZED:
        return UsageError(
            f"search {address}: login refused for user {address.user!r}; check user and password"
        )
    if is_down(status, cause):
        return unavailable(address, f"{status} {line_of(cause)}")
    if status == HTTPStatus.FORBIDDEN:
        return UsageError(f"search {address}: user {address.user!r} lacks a permission: {line_of(cause)}")
    if status == HTTPStatus.NOT_FOUND:
        return Gone(line_of(cause))
    return error
