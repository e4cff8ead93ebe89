"""Answers that reach the network in one piece."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

if TYPE_CHECKING:
    _Transport = asyncio.Transport
else:
    # So that what is not defined here is looked up in the other transport.
    _Transport = object


class JoinedWrites(_Transport):
    """A transport that keeps the head of an answer until its body, or the first piece of it, is written.

    uvicorn writes them one by one, and uvloop sends each at once. One system call and one packet are saved.
    A process that is killed between the two would leave a head without a body, for which a proxy cannot try
    another host any more; without an answer it can.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send the data, unless it is the head of an answer."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data] if data else [head])
        elif (
            isinstance(data, bytes) and data[:5] == b"HTTP/" and data[-4:] == b"\r\n\r\n" and data != CONTINUE
        ):
            self._head = data
        else:
            self._transport.write(data)


class JoinedWritesProtocol(HttpToolsProtocol):
    """uvicorn's protocol over such a transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        super().connection_made(JoinedWrites(cast("asyncio.Transport", transport)))
