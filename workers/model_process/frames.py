"""The messages between the consumer and its model process: typed values, as MessagePack over a socket.

On the wire a frame is a 4-byte big-endian length (bounded) and one MessagePack array: the `type` of its
class, then the fields in the order of the class. Both ends are of one release, so no field names are sent.
Frames can be built by position, unlike other values: about five are built and read for each image.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from operator import attrgetter
from typing import Any, ClassVar, get_args, get_type_hints

import msgpack

from panopticon.messages import Lane
from panopticon.scheduling.dispatch import Phase
from panopticon.scheduling.items import Item

PROTOCOL = 3
"""Raised whenever a frame changes, so that two releases which meet do not misread each other."""
MAX_FRAME_BYTES = 128 * 1024 * 1024
MAX_ENCODED_BYTES = MAX_FRAME_BYTES - 1024 * 1024
"""The largest image that an item may carry: the rest of the frame is left for its other fields."""
_LENGTH = struct.Struct(">I")
_READ_BYTES = 256 * 1024


class FrameError(Exception):
    """The peer sent something that is not a frame: a bug, or another program."""


class PeerGone(Exception):  # noqa: N818
    """End of file: the other process died or closed its side."""


@dataclass(frozen=True, slots=True)
class HelloFrame:
    """Child to parent: the model has passed its self-test."""

    type: ClassVar = "hello"
    protocol: int
    model: str
    version: int
    digest: str
    engine: str
    libraries: str
    best_batch: int
    dim: int


@dataclass(frozen=True, slots=True)
class StartedFrame:
    """Child to parent: these items have entered a phase."""

    type: ClassVar = "started"
    ids: tuple[int, ...]
    phase: Phase


@dataclass(frozen=True, slots=True)
class RanFrame:
    """Child to parent: one batch has run. The outputs of its images follow."""

    type: ClassVar = "ran"
    images: int
    run_s: float


@dataclass(frozen=True, slots=True)
class OutputFrame:
    """Child to parent: the model's output for one image."""

    type: ClassVar = "output"
    id: int
    vector: bytes
    """Float32 in the machine's byte order."""
    prepare_s: float
    source_sha256: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class RejectedFrame:
    """Child to parent: this image will never pass."""

    type: ClassVar = "rejected"
    id: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class TransientFrame:
    """Child to parent: this image may pass later."""

    type: ClassVar = "transient"
    id: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class UnavailableFrame:
    """Child to parent: a component that this image needs is down."""

    type: ClassVar = "unavailable"
    id: int
    """0: the model itself is down."""
    component: str
    reason: str


@dataclass(frozen=True, slots=True)
class AliveFrame:
    """Child to parent, each second."""

    type: ClassVar = "alive"
    cpu_s: Mapping[str, float]
    """CPU seconds since the child started, by step."""


@dataclass(frozen=True, slots=True)
class CancelFrame:
    """Parent to child: nobody waits for these items any more. Each has an answer all the same."""

    type: ClassVar = "cancel"
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DroppedFrame:
    """Child to parent: these cancelled items will not be run."""

    type: ClassVar = "dropped"
    ids: tuple[int, ...]


# An item goes from parent to child: run this image.
Frame = (
    Item
    | CancelFrame
    | DroppedFrame
    | HelloFrame
    | StartedFrame
    | RanFrame
    | OutputFrame
    | RejectedFrame
    | TransientFrame
    | UnavailableFrame
    | AliveFrame
)

KINDS: dict[str, type[Frame]] = {cls.type: cls for cls in get_args(Frame)}
"""The class of each `type` on the wire."""


def _ids(value: list[Any]) -> tuple[int, ...]:
    for id_ in value:
        if type(id_) is not int:
            raise TypeError("an id that is not an integer")
    return tuple(value)


def _cpu_s(value: dict[str, Any]) -> dict[str, float]:
    for used_s in value.values():
        if type(used_s) not in (float, int):
            raise TypeError("CPU seconds that are not a number")
    return value


@dataclass(frozen=True, slots=True)
class _WireType:
    """The form of a field's value in MessagePack."""

    types: tuple[type, ...]
    read: Callable[[Any], Any] | None = None
    """From the value on the wire to the field's, where they differ. Raises: ValueError, TypeError."""


_WIRE_TYPES: dict[object, _WireType] = {
    int: _WireType(types=(int,)),
    float: _WireType(types=(float, int)),
    str: _WireType(types=(str,)),
    bytes: _WireType(types=(bytes,)),
    bytes | None: _WireType(types=(bytes, type(None))),
    tuple[int, ...]: _WireType(types=(list,), read=_ids),
    Mapping[str, float]: _WireType(types=(dict,), read=_cpu_s),
    Lane: _WireType(types=(str,), read={lane.value: lane for lane in Lane}.__getitem__),
    Phase: _WireType(types=(str,), read={phase.value: phase for phase in Phase}.__getitem__),
}


class _Codec:
    """Turns frames of one class into the arrays that are packed, and back.

    The types of all fields are checked by one look-up.
    """

    def __init__(self, cls: type[Frame]) -> None:
        hints = get_type_hints(cls)
        names = [field.name for field in fields(cls)]
        wire_types = [_WIRE_TYPES[hints[name]] for name in names]
        self._cls = cls
        self.values: Callable[[Frame], tuple[Any, ...]] = attrgetter("type", *names)
        """Returns the array that stands for a frame: its type, then its fields in the order of the class."""
        self._signatures = {*product((str,), *(wire_type.types for wire_type in wire_types))}
        self._reads = [(at, wire.read) for at, wire in enumerate(wire_types, start=1) if wire.read]

    def frame(self, values: list[Any]) -> Frame:
        """Return the frame for an array. Raises: TypeError, KeyError or ValueError if it is malformed."""
        if (*map(type, values),) not in self._signatures:
            raise TypeError(f"fields of the wrong number or type in {self._cls.__name__}")
        for at, read in self._reads:
            values[at] = read(values[at])
        return self._cls(*values[1:])


_CODECS = {cls: _Codec(cls) for cls in KINDS.values()}


class FrameEncoder:
    """Turns frames into bytes. Used by one thread at a time."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer()

    def encode(self, frame: Frame) -> bytes:
        """Return the frame with its length. Raises: FrameError if it is too large."""
        return b"".join(self.parts(frame))

    def parts(self, frame: Frame) -> tuple[bytes, bytes]:
        """Return the length of the frame and the frame, which are sent one after the other.

        Raises: FrameError if it is too large.
        """
        body: bytes = self._packer.pack(_CODECS[type(frame)].values(frame))
        if len(body) > MAX_FRAME_BYTES:
            raise FrameError(f"frame of {len(body)} bytes is larger than {MAX_FRAME_BYTES}")
        if len(body) > _READ_BYTES:
            # A packer keeps the memory of the largest frame that it has packed.
            self._packer = msgpack.Packer()
        return _LENGTH.pack(len(body)), body


class FrameDecoder:
    """Turns bytes, in pieces of any size, into whole frames.

    Pieces are joined once, when the frame that they begin is complete: an image comes in many of them.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._needed_bytes = _LENGTH.size
        """The bytes with which the next frame, or its length, is complete."""

    def feed(self, piece: bytes) -> list[Frame]:
        """Return the frames that this piece completes. Raises: FrameError."""
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes < self._needed_bytes:
            return []
        held = piece if len(self._pieces) == 1 else b"".join(self._pieces)
        frames: list[Frame] = []
        start = 0
        self._needed_bytes = _LENGTH.size
        while len(held) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, start)
            # Refused before the rest of it arrives, which would otherwise fill the memory.
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"frame of {length} bytes is larger than {MAX_FRAME_BYTES}")
            end = start + _LENGTH.size + int(length)
            if len(held) < end:
                self._needed_bytes = end - start
                break
            frames.append(_decode(memoryview(held)[start + _LENGTH.size : end]))
            start = end
        rest = held[start:]
        self._pieces = [rest] if rest else []
        self._held_bytes = len(rest)
        return frames


def _decode(body: memoryview) -> Frame:
    try:
        values = msgpack.unpackb(body)
        return _CODECS[KINDS[values[0]]].frame(values)
    except (ValueError, LookupError, TypeError, msgpack.UnpackException) as error:
        raise FrameError(f"not a frame: {type(error).__name__}: {error}") from None


class FrameStream:
    """Frames over one connected socket. One thread reads; several senders must hold a lock of their own."""

    def __init__(self, connection: socket.socket, *, send_timeout_s: float | None = None) -> None:
        """`send_timeout_s`: seconds after which a peer that reads nothing counts as gone; None: no limit."""
        connection.settimeout(send_timeout_s)
        self._connection = connection
        self._encoder = FrameEncoder()
        self._decoder = FrameDecoder()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def send(self, frames: Iterable[Frame]) -> None:
        """Send all of them at once. Raises: PeerGone, or FrameError for a frame that is too large."""
        try:
            self._connection.sendall(
                b"".join(part for frame in frames for part in self._encoder.parts(frame))
            )
        except OSError as error:
            raise PeerGone(str(error)) from None

    def receive(self, *, wait_s: float | None) -> list[Frame]:
        """Return the frames that have arrived, waiting up to `wait_s` for the first (None: without limit).

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

    def fileno(self) -> int:
        """Return the descriptor, which is readable when a frame has arrived or the peer is gone."""
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()
