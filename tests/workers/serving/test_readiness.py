"""The port of the probes answers whatever its clients do."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from urllib.request import urlopen

import pytest

from panopticon.metrics import Metrics
from tests.workers.serving.running import wait_until
from workers.serving.readiness import ProbeServer, Readiness

RESET_AT_ONCE = struct.pack("ii", 1, 0)


@pytest.fixture
def port() -> Iterator[int]:
    server = ProbeServer(Readiness(Metrics()))
    with closing(server):
        yield server.start("127.0.0.1", 0)


def handlers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]


def answers(port: int) -> bool:
    with urlopen(f"http://127.0.0.1:{port}/health/live", timeout=60) as answer:
        return bool(answer.status == 200)


def test_a_client_that_resets_its_connection_leaves_no_traceback(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    assert answers(port)
    wait_until(lambda: not handlers(), "the broken connections are over")
    assert "Traceback" not in capfd.readouterr().err
