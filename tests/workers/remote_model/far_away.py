"""A proxy on loopback that makes whatever is behind it seem far away: every byte arrives later."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

CHUNK_BYTES = 65_536


class FarAway:
    """A proxy of TCP connections to one port, with a delay in each direction."""

    def __init__(self, port: int, *, delay_s: float) -> None:
        self._target = ("127.0.0.1", port)
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> FarAway:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Ends the call of `accept` in the other thread, which closing alone would not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            # Ends the calls of `recv` in the other threads.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                far = socket.create_connection(self._target)
                self._sockets.append(far)
                for source, sink in ((near, far), (far, near)):
                    pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    threading.Thread(target=self._receive, args=(source, pieces), daemon=True).start()
                    threading.Thread(target=_deliver, args=(sink, pieces), daemon=True).start()

    def _receive(self, source: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        piece = b"first"
        while piece:
            try:
                piece = source.recv(CHUNK_BYTES)
            except OSError:
                piece = b""
            pieces.put((time.monotonic() + self._delay_s, piece))


def _deliver(sink: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    with suppress(OSError):
        while True:
            due_s, piece = pieces.get()
            time.sleep(max(due_s - time.monotonic(), 0))
            if not piece:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(piece)
