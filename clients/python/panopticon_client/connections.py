"""Connections whose reads and writes all end by one deadline, even if a host answers byte by byte."""

from __future__ import annotations

import math
import socket
import ssl
import time
from typing import Any, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECT_S = 3.0
"""The longest time to open a connection: a machine that is gone must not use up the time of a call."""
MAX_HOSTS = 256
SEND_BYTES = 64 * 1024


def open_pool(*, connections: int, ca_certs: str | None) -> PoolManager:
    """Return a pool for many threads, which keeps so many idle connections to each host.

    It ignores proxies in the environment. `ca_certs`: the file of the authorities that are trusted, in PEM;
    None: those of the system.
    """
    tls = ssl.create_default_context(cafile=ca_certs)
    tls.sslsocket_class = _TimedTlsSocket
    pool = PoolManager(MAX_HOSTS, maxsize=connections, ssl_context=tls, blocksize=SEND_BYTES)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return pool


class _TimedSocket(socket.socket):
    """A socket whose reads and writes end by `deadline_s` (monotonic)."""

    deadline_s = math.inf

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(_left_s(self.deadline_s))
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self.settimeout(_left_s(self.deadline_s))
        super().sendall(*args, **options)


class _TimedTlsSocket(ssl.SSLSocket):
    """An encrypted socket whose reads and writes end by `deadline_s` (monotonic)."""

    deadline_s = math.inf

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(_left_s(self.deadline_s))
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self.settimeout(_left_s(self.deadline_s))
        super().sendall(*args, **options)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        # The library has set `timeout` to what is left of the time for this request.
        left_s = self.timeout or 0.0
        self.timeout = min(left_s, CONNECT_S)
        try:
            opened = super()._new_conn()
        finally:
            self.timeout = left_s
        timed = _TimedSocket(opened.family, opened.type, opened.proto, fileno=opened.detach())
        timed.deadline_s = time.monotonic() + left_s
        # For the handshake of TLS, which neither of the methods above sees.
        timed.settimeout(left_s)
        return timed

    def putrequest(self, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        # A kept connection has the deadline of its former request, and a new one with TLS has none yet.
        cast(_TimedSocket, self.sock).deadline_s = time.monotonic() + (self.timeout or 0.0)
        super().putrequest(*args, **options)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _left_s(deadline_s: float) -> float | None:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s if math.isfinite(left_s) else None
