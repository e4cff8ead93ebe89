"""Errors of the driver, translated to those of Panopticon. No text contains a credential."""

from __future__ import annotations

from cassandra import (
    AuthenticationFailed,
    InvalidRequest,
    OperationTimedOut,
    RequestExecutionException,
    Timeout,
    Unauthorized,
    UnresolvableContactPoints,
)
from cassandra import protocol as answers
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException, ProtocolVersionUnsupported
from cassandra.pool import NoConnectionsAvailable

from panopticon.errors import Unavailable, UsageError
from storage.stores.cassandra.url import CassandraAddress

PART = "store"

_OUTAGES = (
    NoHostAvailable,
    NoConnectionsAvailable,
    ConnectionBusy,
    ConnectionException,
    OperationTimedOut,
    RequestExecutionException,
    UnresolvableContactPoints,
    answers.RequestExecutionException,
    answers.ServerError,
)

CAS_WRITE_UNKNOWN = 0x1700
"""An error code that is newer than the driver, which has no class for it."""


def is_unknown(error: Exception) -> bool:
    """Return whether no answer came in time, so that the request may or may not be carried out."""
    if isinstance(error, answers.ErrorMessage):
        return bool(error.code == CAS_WRITE_UNKNOWN)
    return isinstance(error, OperationTimedOut | Timeout | ConnectionException)


def is_not_open_yet(error: Exception) -> bool:
    """Return whether every node that was asked lists a keyspace or table, or was just asked to create it, and
    has not opened it yet.

    A node calls a request for it invalid until its list is read, and ends with "Unknown CF" from then until
    the files of the table are open.
    """
    return all(
        isinstance(cause, InvalidRequest)
        or (isinstance(cause, answers.ServerError) and "Unknown CF" in str(cause))
        for cause in _inner(error) or [error]
    )


def translated(error: Exception, address: CassandraAddress) -> Exception:
    """Return a `UsageError`, an `Unavailable`, or the error itself if it is a bug."""
    for cause in (error, *_inner(error)):
        if (mistake := _usage_error(cause, address)) is not None:
            return mistake
    if isinstance(error, _OUTAGES) or is_unknown(error):
        return Unavailable(PART, f"{address}: {_reason(error)}")
    return error


def _usage_error(error: Exception, address: CassandraAddress) -> UsageError | None:
    if isinstance(error, AuthenticationFailed | answers.BadCredentials):
        return UsageError(
            f"store {address}: login refused for user {address.user!r}; check user and password"
        )
    if isinstance(error, Unauthorized):
        return UsageError(f"store {address}: user {address.user!r} lacks a permission: {_line(error)}")
    if isinstance(error, ProtocolVersionUnsupported):
        return UsageError(f"store {address}: this Cassandra is too old; 4.0 or newer is needed")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UsageError(
            f"store {address}: the certificate of a node does not verify; cafile must hold what signed it,"
            f" and it must be for the node's address: {_line(error)}"
        )
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, NoHostAvailable):
        causes = _inner(error)
        return f"no node answers ({_reason(causes[0])})" if causes else "no node answers"
    return f"{type(error).__name__}: {_line(error)}"


def _inner(error: Exception) -> list[Exception]:
    """Return the error of each node, if no node could answer; often the driver knows none."""
    return list((error.errors or {}).values()) if isinstance(error, NoHostAvailable) else []


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
