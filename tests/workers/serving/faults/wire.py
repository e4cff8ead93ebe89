"""Requests as bytes on a connection, sent as clients without a library send them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from contextlib import suppress

from tests.workers.serving.running import PATIENCE_S, RunningService

PIECE_BYTES = 65_536


def port_of(service: RunningService) -> int:
    return int(service.url.rpartition(":")[2])


def connect(service: RunningService) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(service)), timeout=PATIENCE_S)


def head(query: str = "", **fields: str) -> bytes:
    """Return the head of a request to analyze. An underscore in the name of a field stands for a hyphen."""
    lines = [f"POST /v1/analyze{f'?{query}' if query else ''} HTTP/1.1", "Host: x"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunks(body: bytes) -> Iterable[bytes]:
    """Yield a body as chunks of the transfer coding of that name."""
    for start in range(0, len(body), PIECE_BYTES):
        piece = body[start : start + PIECE_BYTES]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def exchange(service: RunningService, pieces: Iterable[bytes]) -> tuple[int, int, bytes]:
    """Send the pieces, as long as the other side takes them, and read one answer.

    Returns its status (0 if none came), the bytes that were sent, and all that was read.
    """
    sent_bytes = 0
    with connect(service) as connection:
        # The client of a refused body is cut off while it sends; the answer is there all the same.
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
                sent_bytes += len(piece)
        answer = read_answer(connection)
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0, sent_bytes, answer


def read_answer(connection: socket.socket) -> bytes:
    """Return one answer; what came of it if the connection ended before."""
    data = b""
    with suppress(ConnectionError):
        while not _is_complete(data) and (piece := connection.recv(PIECE_BYTES)):
            data += piece
    return data


def _is_complete(data: bytes) -> bool:
    top, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", top)
    return bool(end) and length is not None and len(body) >= int(length[1])
