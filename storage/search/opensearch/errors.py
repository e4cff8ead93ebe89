"""Whose fault an error of the server, or of the way to it, is."""

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
    """An alias, index or script that was there is there no more: look again, and make it anew."""


def translated(error: OpenSearchException, address: OpenSearchAddress) -> Exception:
    """A `UsageError`, `Unavailable` or `Gone`, or the error itself if it is a bug. No credential is in it."""
    if isinstance(error, SerializationError):
        return no_opensearch(address)
    if isinstance(error, NoConnection):
        return _unreached(error, address)
    if isinstance(error, TransportError):
        return _answered(error, address)
    return error


def unavailable(address: OpenSearchAddress, reason: str) -> Unavailable:
    return Unavailable(PART, f"{address}: {reason}")


def no_opensearch(address: OpenSearchAddress) -> UsageError:
    return UsageError(f"search {address}: what answers there is no OpenSearch; check host and port")


def is_down(status: int, cause: Mapping[str, Any]) -> bool:
    """Whether waiting helps: too much work, a shard missing, a disk so full that writes are shut out."""
    if status in _SLOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return True
    return any(kind in _DOWN for kind, _ in _chain(cause))


def is_gone(cause: Mapping[str, Any]) -> bool:
    """Whether an alias, an index or the script is not there."""
    return any(kind in _GONE for kind, _ in _chain(cause))


def said(cause: Mapping[str, Any]) -> str:
    """One line of what the server says of an error, and of what is behind it."""
    return " ".join(" ← ".join(f"{kind}: {reason}" for kind, reason in _chain(cause)).split())[:300]


def _chain(cause: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """An error's kind and reason, and those of what caused it."""
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
        return UsageError(f"search {address}: the port speaks no TLS; check the port, or leave tls=1 away")
    return unavailable(address, f"no answer ({text})")


def _answered(error: TransportError, address: OpenSearchAddress) -> Exception:
    status, cause = int(error.status_code), _cause(error)
    if status < HTTPStatus.BAD_REQUEST:
        return no_opensearch(address)
    if status == HTTPStatus.UNAUTHORIZED:
        return UsageError(
            f"search {address}: login refused for user {address.user!r}; check user and password"
        )
    if is_down(status, cause):
        return unavailable(address, f"{status} {said(cause)}")
    if status == HTTPStatus.FORBIDDEN:
        return UsageError(f"search {address}: user {address.user!r} lacks a permission: {said(cause)}")
    if status == HTTPStatus.NOT_FOUND:
        return Gone(said(cause))
    return error


def _cause(error: TransportError) -> Mapping[str, Any]:
    """The error as an object, also where something before the server answered in words of its own."""
    info = error.info if isinstance(error.info, Mapping) else {}
    cause = info.get("error")
    return (
        cause if isinstance(cause, Mapping) else {"type": error.error, "reason": cause or "no reason given"}
    )
