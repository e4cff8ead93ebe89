"""Connections to allowed addresses only, which end in time even if the server sends byte by byte.

A name is resolved here, and the connection is made to the very address that was checked: a name that
resolves to another address a moment later gains nothing.
"""

from __future__ import annotations

import logging
import math
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

MAX_HOSTS = 64
IDLE_PER_HOST = 64
LONGEST_READ_S = 3600.0
"""The limit of a read without a deadline: while a connection is opened, the library's limits hold."""

Resolve = Callable[[str, int], list[tuple[int, str]]]
"""A function from (host, port) to the (address family, address) pairs to connect to, best first."""


def open_pool(resolve: Resolve) -> PoolManager:
    """Return a pool of kept connections for many threads. It ignores proxies of the environment."""
    # The library logs whole URLs, and with them the signatures in their queries.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    tls = ssl.create_default_context()
    tls.sslsocket_class = _TimedTlsSocket
    pool = PoolManager(MAX_HOSTS, maxsize=IDLE_PER_HOST, ssl_context=tls)
    pools = {"http": partial(_Pool, resolve=resolve), "https": partial(_TlsPool, resolve=resolve)}
    pool.pool_classes_by_scheme = cast(dict[str, Any], pools)
    return pool


class _TimedSocket(socket.socket):
    """A socket whose reads all end by `deadline_s` (monotonic): each may take only the time that is left."""

    deadline_s = math.inf

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(_left_s(self.deadline_s))
        return super().recv_into(*args, **options)


class _TimedTlsSocket(ssl.SSLSocket):
    """An encrypted socket whose reads all end by `deadline_s` (monotonic)."""

    deadline_s = math.inf

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(_left_s(self.deadline_s))
        return super().recv_into(*args, **options)


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, resolve: Resolve, **options: Any) -> None:
        super().__init__(*args, **options)
        self._resolve = resolve

    def _new_conn(self) -> socket.socket:
        try:
            return _connected(self._resolve(self.host, self.port), self.port, timeout_s=self.timeout or 0.0)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise NewConnectionError(self, error.strerror or type(error).__name__) from error

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        # The library has set `timeout` to what is left of the total time.
        cast(_TimedSocket, self.sock).deadline_s = time.monotonic() + (self.timeout or 0.0)
        return super().getresponse()


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _connected(addresses: list[tuple[int, str]], port: int, *, timeout_s: float) -> socket.socket:
    """Connect to the first address that answers. Raises: the OSError of the last one."""
    deadline_s = time.monotonic() + timeout_s
    last_error: OSError = TimeoutError()
    for family, address in addresses:
        opened = _TimedSocket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(_left_s(deadline_s))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.connect((address, port))
        except OSError as error:
            opened.close()
            last_error = error
        else:
            return opened
    raise last_error


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return min(left_s, LONGEST_READ_S)
