"""A connection of pika that sends what it has in one write, instead of three for each message."""

from __future__ import annotations

from typing import Any

from pika.adapters.asyncio_connection import AsyncioConnection


class BufferedConnection(AsyncioConnection):  # type: ignore[misc]
    """Buffers what is sent during one turn of the event loop, and writes it at the end of that turn."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._unsent: list[bytes] = []
        super().__init__(*arguments, **named)

    def abort(self) -> None:
        """End the connection without waiting for the broker to confirm it."""
        if self._transport is not None:
            self._transport.abort()

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._unsent:
            self.ioloop.call_soon(self._send_all)
        self._unsent.append(data)

    def _adapter_disconnect_stream(self) -> None:
        self._send_all()
        super()._adapter_disconnect_stream()

    def _send_all(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        if data and self._transport is not None:
            super()._adapter_emit_data(data)
