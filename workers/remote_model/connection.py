"""One kept HTTP connection of one thread, whose requests another thread can break off."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from urllib3 import BaseHTTPResponse, Timeout, connection_from_url
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as HttpTimeoutError

from panopticon.errors import PanopticonError
from workers.remote_model.address import Address

MAX_REPLY_BYTES = 16 * 1024 * 1024
_KEEPALIVE = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        # Some systems have other names for them.
        if hasattr(socket, name)
    ),
]
"""A host that vanished while a request waits for its answer is noticed after 25 s, and not at its timeout."""


class Unreachable(PanopticonError):  # noqa: N818
    """No connection could be made, so that the request had no effect at all."""


class BrokenOff(PanopticonError):  # noqa: N818
    """The request has no answer, and may have been carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """A connection to one service. Requests come from one thread; any thread may call `abandon`."""

    def __init__(self, address: Address, *, connect_s: float) -> None:
        """Connect at the first request, within `connect_s`."""
        # The library logs whole paths, and warns about each answer that was broken off.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._prefix = address.prefix
        self._connect_s = connect_s
        self._opened: HTTPConnection | None = None
        self._pool = connection_from_url(address.origin, maxsize=1, socket_options=_KEEPALIVE)
        original: Any = self._pool.ConnectionCls

        def remembered(**options: Any) -> Any:
            self._opened = original(**options)
            return self._opened

        self._pool.ConnectionCls = remembered  # type: ignore[assignment]

    def request(
        self, method: str, path: str, *, read_s: float, headers: Mapping[str, str], body: bytes | None = None
    ) -> HttpReply:
        """Send one request, and return its answer. `read_s`: longest time without a byte of it.

        Raises: Unreachable, BrokenOff.
        """
        try:
            response = self._pool.urlopen(
                method,
                f"{self._prefix}{path}",
                body=body,
                headers=headers,
                timeout=Timeout(connect=self._connect_s, read=read_s),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            return _read(response)
        except (NameResolutionError, NewConnectionError, ConnectTimeoutError, SSLError) as error:
            raise Unreachable(f"cannot be reached ({_why(error)})") from None
        except HttpTimeoutError:
            raise BrokenOff(f"has not answered for {read_s:g} s") from None
        except ProtocolError:
            raise BrokenOff("broke off its answer") from None
        except HTTPError as error:
            raise BrokenOff(f"cannot be understood ({type(error).__name__})") from None

    def abandon(self) -> None:
        """Break off the request that waits for its answer, if there is one; the next one connects again."""
        opened = self._opened
        connection = opened.sock if opened is not None else None
        if connection is not None:
            # The method of an encrypted socket would first take the encryption from the thread that reads.
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. No other thread may be in `request`."""
        self._pool.close()


def _read(response: BaseHTTPResponse) -> HttpReply:
    try:
        body = response.read(MAX_REPLY_BYTES + 1)
        # The end is read too, after which the connection may be used again.
        if len(body) > MAX_REPLY_BYTES or response.read(1):
            raise BrokenOff(f"has an answer of more than {MAX_REPLY_BYTES} bytes")
    finally:
        response.close()
    return HttpReply(status=response.status, headers=response.headers, body=body)


def _why(error: HTTPError) -> str:
    cause = error.__cause__ or (error.args or [None])[0]
    texts = (getattr(cause, name, None) for name in ("verify_message", "reason", "strerror"))
    if isinstance(error, NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
        return "no connection in time"
    return next((str(text) for text in texts if text), type(error).__name__)
