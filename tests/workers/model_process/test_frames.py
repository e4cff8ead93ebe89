"""Frames arrive whole however they were split, are bounded, and must have the fields of their class."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import Lane
from panopticon.scheduling.dispatch import Phase
from panopticon.scheduling.items import Item
from workers.model_process.frames import (
    KINDS,
    AliveFrame,
    CancelFrame,
    DroppedFrame,
    Frame,
    FrameDecoder,
    FrameEncoder,
    FrameError,
    FrameStream,
    HelloFrame,
    OutputFrame,
    PeerGone,
    RanFrame,
    RejectedFrame,
    StartedFrame,
    TransientFrame,
    UnavailableFrame,
)

ids = st.integers(0, 2**63)
texts = st.text(max_size=20)
seconds = st.floats(0, 1e9)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        Item,
        id=ids,
        lane=st.sampled_from(Lane),
        uri=texts,
        encoded=st.none() | st.binary(max_size=2000),
        trace=texts,
    ),
    st.builds(CancelFrame, ids=st.lists(ids, max_size=40).map(tuple)),
    st.builds(DroppedFrame, ids=st.lists(ids, max_size=40).map(tuple)),
    st.builds(
        HelloFrame,
        protocol=ids,
        model=texts,
        version=ids,
        digest=texts,
        engine=texts,
        libraries=texts,
        best_batch=ids,
        dim=ids,
    ),
    st.builds(StartedFrame, ids=st.lists(ids, max_size=40).map(tuple), phase=st.sampled_from(Phase)),
    st.builds(RanFrame, images=ids, run_s=seconds),
    st.builds(
        OutputFrame,
        id=ids,
        vector=st.binary(max_size=2000),
        prepare_s=seconds,
        source_sha256=texts,
        width_px=ids,
        height_px=ids,
    ),
    st.builds(RejectedFrame, id=ids, reason=texts, detail=texts),
    st.builds(TransientFrame, id=ids, reason=texts, detail=texts),
    st.builds(UnavailableFrame, id=ids, component=texts, reason=texts),
    st.builds(AliveFrame, cpu_s=st.dictionaries(texts, seconds, max_size=4)),
)
REJECTED: list[Any] = ["rejected", 1, "corrupt", ""]
STARTED: list[Any] = ["started", [1, 2], "run"]
ITEM: list[Any] = ["item", 1, "live", "", b"", ""]
ALIVE: list[Any] = ["alive", {"run": 1.0}]
A, B = (RejectedFrame(id=id_, reason="corrupt", detail="") for id_ in (1, 2))


def output(vector: bytes) -> OutputFrame:
    return OutputFrame(id=1, vector=vector, prepare_s=0.0, source_sha256="", width_px=1, height_px=1)


def pack(frame: Frame) -> bytes:
    return FrameEncoder().encode(frame)


def raw(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(st.lists(frames, max_size=6), st.data())
def test_frames_come_whole_and_in_order_however_they_are_split(
    sent: list[Frame], data: st.DataObject
) -> None:
    stream = b"".join(map(pack, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = FrameDecoder()
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == sent


@given(st.lists(frames, min_size=1, max_size=3))
def test_frames_come_whole_byte_by_byte(sent: list[Frame]) -> None:
    decoder = FrameDecoder()
    stream = b"".join(map(pack, sent))
    assert [frame for byte in stream for frame in decoder.feed(bytes([byte]))] == sent


@given(frames)
def test_an_unfinished_frame_is_not_handed_out(frame: Frame) -> None:
    assert FrameDecoder().feed(pack(frame)[:-1]) == []


@given(st.binary(max_size=100))
def test_garbage_is_a_frame_error_or_waits_for_its_end(garbage: bytes) -> None:
    try:
        decoded = FrameDecoder().feed(garbage)
    except FrameError:
        return
    assert all(type(frame) in KINDS.values() for frame in decoded)


@given(st.binary(max_size=60))
def test_a_frame_of_garbage_is_a_frame_error_or_a_frame(body: bytes) -> None:
    try:
        decoded = FrameDecoder().feed(raw(body))
    except FrameError:
        return
    assert [type(frame) in KINDS.values() for frame in decoded] == [True]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81",
        msgpack.packb(REJECTED) + b"\x00",
        msgpack.packb([1]),
        msgpack.packb("type"),
        msgpack.packb({"id": 1}),
        b"\x91" * 5000 + b"\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x81\xa4type\xa1\xff",
        b"\x81\x01\x02",
        msgpack.packb([]),
        msgpack.packb({"type": "rejected", "id": 1, "reason": "corrupt", "detail": ""}),
        msgpack.packb(["drain", *REJECTED[1:]]),
        msgpack.packb([["rejected"], *REJECTED[1:]]),
        msgpack.packb([*REJECTED, 1]),
        msgpack.packb(REJECTED[:3]),
        msgpack.packb(["rejected", "1", "corrupt", ""]),
        msgpack.packb(["rejected", True, "corrupt", ""]),
        msgpack.packb(["rejected", None, "corrupt", ""]),
        msgpack.packb(["started", 1, "run"]),
        msgpack.packb(["started", [1, "2"], "run"]),
        msgpack.packb(["started", [1, 2], "lunch"]),
        msgpack.packb(["item", 1, "express", "", b"", ""]),
        msgpack.packb(["item", 1, "live", "", "text", ""]),
        msgpack.packb(ITEM[:-1]),
        msgpack.packb(["cancel", 1]),
        msgpack.packb(["alive", [1.0]]),
        msgpack.packb(["alive", {"run": "long"}]),
    ],
)
def test_a_body_that_is_not_a_frame_is_a_frame_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        FrameDecoder().feed(raw(body))


@pytest.mark.parametrize("body", [REJECTED, STARTED, ITEM, ALIVE])
def test_the_bodies_that_those_differ_from_are_frames(body: list[Any]) -> None:
    (frame,) = FrameDecoder().feed(raw(msgpack.packb(body)))
    assert type(frame) is KINDS[body[0]]


def test_a_length_past_the_bound_is_refused_before_anything_of_it_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.model_process.frames.MAX_FRAME_BYTES", 100)
    FrameDecoder().feed(struct.pack(">I", 100))
    with pytest.raises(FrameError, match="101 bytes is larger than 100"):
        FrameDecoder().feed(struct.pack(">I", 101))


def test_a_frame_past_the_bound_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.model_process.frames.MAX_FRAME_BYTES", 100)
    with pytest.raises(FrameError, match="larger than 100"):
        pack(output(bytes(100)))


class TestFrameStream:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours, theirs

    def test_what_one_end_sends_the_other_receives(self, ends: tuple[socket.socket, socket.socket]) -> None:
        one, other = map(FrameStream, ends)
        one.send([A, B])
        assert other.receive(wait_s=0) == [A, B]

    def test_nothing_comes_while_nothing_was_sent(self, ends: tuple[socket.socket, socket.socket]) -> None:
        assert FrameStream(ends[0]).receive(wait_s=0) == []

    def test_a_frame_larger_than_any_buffer_comes_whole(
        self, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        one, other = map(FrameStream, ends)
        frame = output(bytes(5_000_000))
        sender = threading.Thread(target=one.send, args=([frame],))
        sender.start()
        received: list[Frame] = []
        while not received:
            received = other.receive(wait_s=10)
        sender.join()
        assert received == [frame]

    def test_what_was_sent_before_the_end_is_still_received(
        self, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        one, other = map(FrameStream, ends)
        one.send([A])
        one.close()
        assert other.receive(wait_s=0) == [A]
        with pytest.raises(PeerGone, match="end of file"):
            other.receive(wait_s=0)

    def test_sending_to_a_peer_that_is_gone_raises_peer_gone(
        self, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        ends[1].close()
        with pytest.raises(PeerGone):
            FrameStream(ends[0]).send([A])

    def test_a_peer_that_died_before_it_read_our_frames_is_gone(
        self, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        stream = FrameStream(ends[0])
        stream.send([A])
        ends[1].close()
        with pytest.raises(PeerGone):
            stream.receive(wait_s=0)
