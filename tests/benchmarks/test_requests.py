"""The requests of the benchmark and the answers to them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.http.answers import seems_right
from benchmarks.http.open_loop import body_of
from benchmarks.http.requests import BODY_BYTES, Target, tiny_pictures, with_comment

EXPECTED = {"model": "tagger@1", "digest": "ab", "tags": [{"label": "cat", "probability": 0.5}]}


def test_a_comment_makes_a_jpeg_as_large_as_a_photo_and_changes_no_pixel(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(buffer, "JPEG")
    large = with_comment(buffer.getvalue(), size_bytes=BODY_BYTES)
    assert len(large) == BODY_BYTES
    assert Image.open(io.BytesIO(large)).tobytes() == Image.open(buffer).tobytes()
    assert {len(picture) for picture in tiny_pictures(tmp_path, count=3)} == {BODY_BYTES}


@pytest.mark.parametrize("upload", ["raw", "multipart"])
def test_a_request_states_the_length_of_its_body(upload: str) -> None:
    request = Target(port=1, path="/p", upload="raw" if upload == "raw" else "multipart").request(b"picture")
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"picture" in body


@pytest.mark.parametrize(
    "answer",
    [EXPECTED, {"image": {}, "models": {"tagger@1": {**EXPECTED, "model": "tagger", "version": 1}}}],
)
def test_the_right_answer_of_a_peer_or_of_this_service_is_recognised(answer: object) -> None:
    assert seems_right(json.dumps(answer).encode(), EXPECTED)


@pytest.mark.parametrize(
    "answer",
    [
        {**EXPECTED, "tags": [{"label": "cat", "probability": 0.5000001}]},
        {**EXPECTED, "digest": "cd"},
        {"models": {"tagger@1": {"error": {}}}},
        {"models": {}},
        [],
    ],
)
def test_any_other_answer_is_wrong(answer: object) -> None:
    assert not seems_right(json.dumps(answer).encode(), EXPECTED)


def test_an_answer_that_is_not_json_is_wrong() -> None:
    assert not seems_right(b"<html>", EXPECTED)


@pytest.mark.parametrize(
    ("head", "rest", "body"),
    [
        (b"http/1.1 200 ok\r\ncontent-length: 3", b"abc", b"abc"),
        (b"http/1.1 200 ok\r\ncontent-length: 4\r\nserver: x", b"abc", None),
        (b"http/1.1 200 ok\r\ntransfer-encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"http/1.1 200 ok\r\ntransfer-encoding: chunked", b"3\r\nabc\r\n", None),
        (b"http/1.1 200 ok\r\ntransfer-encoding: chunked", b"3\r\nab", None),
    ],
)
def test_a_body_is_complete_or_still_to_come(head: bytes, rest: bytes, body: bytes | None) -> None:
    assert body_of(head, rest) == body
