"""Clients that send a body although they were refused."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from tests.servers.requirements import require
from tests.workers.serving.edge.service import Service, answer, get, is_closed, request, serving, wait_until
from tests.workers.serving.edge.test_protocol import LIMITS
from workers.serving.edge.limits import DRAIN_BYTES

BODY_BYTES = 20_000_000


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(LIMITS) as service:
        yield service


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"], ids=["expect", "no expect"])
@pytest.mark.parametrize("length", ["known", "chunked"])
def test_curl_sees_the_refusal(service: Service, tmp_path: Path, expect: str, length: str) -> None:
    curl = shutil.which("curl")
    require(curl, "curl is needed; on Debian and Ubuntu: apt install curl")
    (body := tmp_path / "body").write_bytes(b"x" * BODY_BYTES)
    chunked = ["-H", "Transfer-Encoding: chunked"] if length == "chunked" else []
    ran = subprocess.run(
        [
            *(str(curl), "-s", "-S", "-o", str(tmp_path / "out"), "-w", "%{http_code}"),
            *("-X", "POST", "-H", expect, *chunked, "--data-binary", f"@{body}"),
            f"{service.server.url}/refuse",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "429", "")
    assert json.loads((tmp_path / "out").read_bytes())["retry_after_ms"] == 1000


def test_urllib3_and_so_requests_see_the_refusal(service: Service) -> None:
    with urllib3.PoolManager(retries=False) as pool:
        got = pool.request("POST", f"{service.server.url}/refuse", body=b"x" * BODY_BYTES)
        assert (got.status, got.headers["retry-after"]) == (429, "1")
        assert got.json()["type"] == "/v1/problems/gate-full"


def test_http_client_sees_the_refusal(service: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.address.port, timeout=20)
    try:
        # Sending fails once the service has closed the connection; the answer came before that.
        with pytest.raises(ConnectionError):
            connection.request("POST", "/refuse", body=b"x" * BODY_BYTES)
        assert connection.getresponse().status == 429
    finally:
        connection.close()


def test_a_short_body_is_refused_on_a_connection_that_stays_open(service: Service) -> None:
    with service.connect() as client:
        for _ in range(3):
            client.sendall(request("POST", "/refuse", "Content-Length: 60000", body=b"x" * 60_000))
            got = answer(client)
            assert (got.status, "connection" in got.headers) == (429, False)
        client.sendall(get("/"))
        assert answer(client).status == 200


def test_the_refusal_comes_before_the_body(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/refuse", f"Content-Length: {BODY_BYTES}"))
        got = answer(client)
        assert (got.status, got.headers["connection"]) == (429, "close")
        assert int(got.headers["content-length"]) == len(got.body)
        client.sendall(b"x" * (DRAIN_BYTES + 1))
        assert is_closed(client)


def test_a_client_that_waits_for_100_continue_is_refused_without_it(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/refuse", "Content-Length: 10", "Expect: 100-continue"))
        got = answer(client)
        assert (got.status, got.headers["connection"]) == (429, "close")
        client.shutdown(socket.SHUT_WR)
        assert is_closed(client)


@pytest.mark.parametrize(("version", "header"), [("1.0", "X: 1"), ("1.1", "Connection: close")])
def test_a_short_body_is_read_before_a_connection_is_closed_that_would_be_anyway(
    service: Service, version: str, header: str
) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/refuse", "Content-Length: 60000", header, version=version))
        assert answer(client).status == 429
        # The connection is open until the body has come, so that no answer is lost by a reset.
        client.sendall(b"x" * 60_000)
        assert client.recv(1) == b""


def test_ten_gigabytes_are_refused_at_once(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/body", f"Content-Length: {10 * 1024**3}"))
        got = answer(client)
        assert (got.status, json.loads(got.body)["allowed"]) == (413, 1024 * 1024)
    assert service.still_answers()


def test_a_refused_client_that_sends_nothing_more_is_disconnected_soon(service: Service) -> None:
    with service.connect() as client:
        client.sendall(request("POST", "/refuse", "Transfer-Encoding: chunked"))
        assert answer(client).status == 429
        assert is_closed(client)


def test_a_body_that_nobody_reads_is_not_buffered(service: Service) -> None:
    """The application waits, as it does before the gate, and the client sends what the kernel takes."""
    before = resident_bytes()
    with ThreadPoolExecutor(20) as pool:
        clients = [service.connect() for _ in range(20)]
        for client in clients:
            client.sendall(request("POST", "/wait", f"Content-Length: {BODY_BYTES}"))
            client.setblocking(False)
        wait_until(lambda: len(service.app.seen) == 20, "the requests do not arrive")
        taken = sum(pool.map(send_until_blocked, clients))
        # What the service read lies in `body`; the rest of what was taken is in buffers of the kernel.
        held = service.call(lambda: [len(each.cycle.body) for each in service.server.protocols()])
        for client in clients:
            client.close()
    assert taken > 0
    # uvloop reads at most 256 KiB at a time, and the last read may come on top of the limit.
    assert max(held) <= 64 * 1024 + 256 * 1024
    assert resident_bytes() - before < 20 * 1024 * 1024


def send_until_blocked(client: socket.socket) -> int:
    """Return how many bytes service and kernel take from a client before it blocks."""
    sent = 0
    while True:
        try:
            sent += client.send(b"x" * 65_536)
        except BlockingIOError:
            return sent


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
