"""A relay to a server that can hold answers back, so that the client does not learn what was done."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Relay:
    """A relay that passes on requests, and their answers unless they are held back."""

    def __init__(self, host: str, port: int, *, at: str = "127.0.0.1") -> None:
        """Relay to the server at `host` and `port`. `at`: the loopback address at which the relay listens."""
        self._server = (host, port)
        self._listener = socket.create_server((at, 0))
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0
        """The number of pieces of data passed on to the server so far."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._flowing.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def hold_answers(self) -> None:
        self._flowing.clear()

    def let_go(self) -> None:
        self._flowing.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(65536):
                self.sent += 1
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while piece := server.recv(65536):
                self._flowing.wait()
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
