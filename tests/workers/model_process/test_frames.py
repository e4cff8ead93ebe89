"""Frames: whole again however they were split, bounded, and never guessed at."""

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

from workers.model_process.frames import Frame, FrameDecoder, FrameError, FrameStream, PeerGone, pack

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
    | st.binary(max_size=2000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
frames = st.builds(
    lambda type_, fields: {**fields, "type": type_}, st.text(), st.dictionaries(st.text(), values, max_size=4)
)


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
    assert all("type" in frame for frame in decoded)


@given(st.binary(max_size=60))
def test_a_frame_of_garbage_is_a_frame_error_or_a_map_with_a_type(body: bytes) -> None:
    try:
        decoded = FrameDecoder().feed(raw(body))
    except FrameError:
        return
    assert ["type" in frame for frame in decoded] == [True]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81",
        msgpack.packb({"type": "a"}) + b"\x00",
        msgpack.packb([1]),
        msgpack.packb("type"),
        msgpack.packb({"id": 1}),
        b"\x91" * 5000 + b"\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x81\xa4type\xa1\xff",
        b"\x81\x01\x02",
    ],
)
def test_what_is_no_map_with_a_type_is_a_frame_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        FrameDecoder().feed(raw(body))


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
        pack({"type": "output", "vector": bytes(100)})


class TestFrameStream:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours, theirs

    def test_what_one_end_sends_the_other_receives(self, ends: tuple[socket.socket, socket.socket]) -> None:
        one, other = map(FrameStream, ends)
        one.send([{"type": "a"}, {"type": "b"}])
        assert other.receive(wait_s=0) == [{"type": "a"}, {"type": "b"}]

    def test_nothing_comes_while_nothing_was_sent(self, ends: tuple[socket.socket, socket.socket]) -> None:
        assert FrameStream(ends[0]).receive(wait_s=0) == []

    def test_a_frame_larger_than_any_buffer_comes_whole(
        self, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        one, other = map(FrameStream, ends)
        frame = {"type": "output", "vector": bytes(5_000_000)}
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
        one.send([{"type": "a"}])
        one.close()
        assert other.receive(wait_s=0) == [{"type": "a"}]
        with pytest.raises(PeerGone, match="end of file"):
            other.receive(wait_s=0)

    def test_sending_to_a_peer_that_is_gone_says_so(self, ends: tuple[socket.socket, socket.socket]) -> None:
        ends[1].close()
        with pytest.raises(PeerGone):
            FrameStream(ends[0]).send([{"type": "a"}])

    def test_a_peer_that_died_with_our_words_unread_is_gone(
        self, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        stream = FrameStream(ends[0])
        stream.send([{"type": "a"}])
        ends[1].close()
        with pytest.raises(PeerGone):
            stream.receive(wait_s=0)
