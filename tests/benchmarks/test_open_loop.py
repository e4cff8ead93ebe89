"""The generator of an open loop, against a small server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.http.open_loop import Generator, Job, OpenLoop, figures

RIGHT = {"digest": "ab", "tags": []}


class Answers(BaseHTTPRequestHandler):
    """Answers by the picture: right, wrong, with 429, or with the end of the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        picture = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if picture == "lost":
            self.close_connection = True
            return
        body = json.dumps({**RIGHT, "digest": "cd"} if picture == "wrong" else RIGHT).encode()
        self.send_response(429 if picture == "refused" else 200)
        if picture == "refused":
            self.send_header("Retry-After", "1")
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def run(port: int, pictures: list[str], folder: Path) -> OpenLoop:
    for picture in pictures:
        (folder / picture).write_text(picture)
    job = Job(
        port=port,
        path="/",
        upload="raw",
        pictures=tuple(str(folder / picture) for picture in pictures),
        expected=tuple(RIGHT for _ in pictures),
        arrivals=tuple(0.01 * number for number in range(20)),
        seconds=0.2,
        connections=8,
        within_s=10,
        drain_s=10,
    )
    return figures(asyncio.run(Generator(job).run()), job)


def test_every_request_is_counted_once_by_what_became_of_it(port: int, tmp_path: Path) -> None:
    found = run(port, ["right", "wrong", "refused", "lost"], tmp_path)
    assert found.offered_per_s == pytest.approx(100)
    assert found.goodput_per_s == pytest.approx(25)
    assert (found.wrong, found.refusals, found.unanswered) == (5, {"429": 5, "0": 5}, 0)
    assert found.with_retry_after == 5


def test_without_a_server_nothing_is_answered(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("right")
    job = Job(
        port=1,
        path="/",
        upload="raw",
        pictures=(str(tmp_path / "p"),),
        expected=(RIGHT,),
        arrivals=(0.0, 0.01),
        seconds=0.02,
        connections=2,
        within_s=1,
        drain_s=0.1,
    )
    assert figures(asyncio.run(Generator(job).run()), job).unanswered == 2
