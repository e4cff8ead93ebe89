"""A service that is stopped goes on answering until its clients have gone elsewhere."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.pictures import encoded, photo
from tests.servers.espresso import EspressoHost, ask, ask_on
from tests.servers.ports import is_listening
from tests.servers.process import wait_until

PHOTO = encoded(photo(), "JPEG")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[EspressoHost]:
    with EspressoHost(tmp_path, drain_s=1.0).running() as host:
        yield host


def test_it_is_not_ready_but_answers_and_asks_clients_to_leave(host: EspressoHost) -> None:
    host.terminate()
    wait_until(lambda: ask(host.port, "/health/ready").status == 503, "a draining service", limit_s=10)
    answer = ask(host.port, "/v1/analyze", PHOTO)
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_a_request_on_a_connection_that_was_opened_before_is_answered_after_the_last_one_was_accepted(
    host: EspressoHost,
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)) as connection:
        connection.connect()
        host.terminate()
        wait_until(lambda: not is_listening(host.port), "the end of the listening", limit_s=20)
        answer = ask_on(connection, "/v1/analyze", PHOTO)
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_it_finishes_what_is_under_way_and_exits_with_0(host: EspressoHost) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)) as connection:
        connection.putrequest("POST", "/v1/analyze")
        connection.putheader("Content-Length", str(len(PHOTO)))
        connection.endheaders(PHOTO[:10])
        host.terminate()
        wait_until(lambda: not is_listening(host.port), "the end of the listening", limit_s=20)
        connection.send(PHOTO[10:])
        assert connection.getresponse().status == 200
    assert host.wait() == 0


def test_an_answer_arrives_in_one_piece(host: EspressoHost) -> None:
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: test\r\n\r\n")
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    (length,) = re.findall(rb"content-length: (\d+)", head)
    assert len(body) == int(length)
