"""The messages between consumer and model process: length-prefixed MessagePack maps over a socketpair.

A frame is a 4-byte big-endian length (bounded) and one MessagePack map with the key `type`.

    child → parent   hello {protocol, model, version, digest, engine, libraries, best_batch, dim}
                     started {ids, phase}      phase: fetch, decode, ready, run
                     ran {images, run_s}       then, for each image of that batch:
                     output {id, vector, prepare_s, source_sha256, width_px, height_px}
                     rejected | transient | unavailable {id, reason, detail}     id 0: the model itself
                     alive {cpu_s}             each second
    parent → child   item {id, lane, uri}
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

PROTOCOL = 1
MAX_FRAME_BYTES = 128 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_READ_BYTES = 256 * 1024

Frame = dict[str, Any]


class FrameError(Exception):
    """The peer sent what is no frame: a bug, or not our peer."""


class PeerGone(Exception):  # noqa: N818
    """End of file: the other process died or closed its side."""


def pack(frame: Mapping[str, Any]) -> bytes:
    """One frame as bytes. Raises: FrameError if it is too large."""
    body: bytes = msgpack.packb(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"frame of {len(body)} bytes is larger than {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


class FrameDecoder:
    """Bytes in any pieces → whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames completed by this piece. Raises: FrameError."""
        self._buffer += piece
        frames: list[Frame] = []
        start = 0
        while (end := self._end_of_frame(start)) is not None:
            frames.append(_unpack(bytes(self._buffer[start + _LENGTH.size : end])))
            start = end
        del self._buffer[:start]
        return frames

    def _end_of_frame(self, start: int) -> int | None:
        if len(self._buffer) - start < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, start)
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"frame of {length} bytes is larger than {MAX_FRAME_BYTES}")
        end = start + _LENGTH.size + length
        return end if len(self._buffer) >= end else None


def _unpack(body: bytes) -> Frame:
    try:
        frame = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameError(f"not MessagePack: {error}") from None
    if not isinstance(frame, dict) or "type" not in frame:
        raise FrameError("not a map with a type")
    return frame


class FrameStream:
    """Frames over one connected socket. One thread reads; senders hold a lock of their own."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._decoder = FrameDecoder()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, frames: Iterable[Mapping[str, Any]]) -> None:
        """Raises: PeerGone."""
        try:
            self._connection.sendall(b"".join(map(pack, frames)))
        except OSError as error:
            raise PeerGone(str(error)) from None

    def receive(self, *, wait_s: float | None) -> list[Frame]:
        """What has come, waiting at most so long for the first (None: for ever).

        Raises: PeerGone, FrameError.
        """
        if wait_s is not None and not self._poll.poll(wait_s * 1000):
            return []
        try:
            piece = self._connection.recv(_READ_BYTES)
        except OSError as error:
            raise PeerGone(str(error)) from None
        if not piece:
            raise PeerGone("end of file")
        return self._decoder.feed(piece)

    def close(self) -> None:
        self._connection.close()
