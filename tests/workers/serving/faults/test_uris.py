"""Originals that a request names by their URIs: what is not fetched, and what a bad source does to others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import http
from tests.servers.http import HttpServer
from tests.servers.ports import free_ports
from tests.workers.serving.running import JPEG, Answered, RunningService, running, wait_until
from tests.workers.serving.test_service import Held

HANGING = 12
"""More URIs than a model process has threads, and more than it takes ahead of the model."""

IN_GOOD_TIME = {"X-Request-Timeout-Ms": "10000"}
"""Less than the time for which a source hangs."""


@pytest.fixture(scope="module")
def web() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


@pytest.fixture(scope="module")
def inside() -> Iterator[HttpServer]:
    """A server within the network of the service, from which nothing may be fetched."""
    with HttpServer() as server:
        server.place("secret.jpg", JPEG)
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uris")
    (folder / "photos").mkdir()
    (folder / "photos" / "a.jpg").write_bytes(JPEG)
    (folder / "private.jpg").write_bytes(JPEG)
    (folder / "photos" / "link.jpg").symlink_to(folder / "private.jpg")
    return folder


@pytest.fixture(scope="module")
def service(folder: Path, web: HttpServer) -> Iterator[RunningService]:
    """A service of a model that may fetch from one web server, one port without any, and one folder."""
    options: dict[str, Any] = {
        "file_roots": [folder / "photos"],
        "private_hosts": [f"127.0.0.1:{web.port}", f"127.0.0.1:{free_ports(1)[0]}"],
        "fetch_timeout_s": 3,
        "item_timeout_s": 30,
    }
    with running(folder, "held@1", **options) as service:
        yield service


def ask(service: RunningService, *uris: str, **headers: str) -> Answered:
    content = {"uri": uris[0]} if len(uris) == 1 else {"images": [{"uri": uri} for uri in uris]}
    return service.ask("POST", "/v1/analyze", json=content, headers=headers)


def test_what_may_be_fetched_is_answered(service: RunningService, web: HttpServer, folder: Path) -> None:
    answer = ask(service, web.place("a.jpg", JPEG), (folder / "photos" / "a.jpg").as_uri())
    assert answer.status == 200
    expected = service.analyze().json["models"]
    assert [result["models"] for result in answer.json["results"]] == [expected, expected]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:{inside}/secret.jpg", "address_not_allowed"),
        ("http://localhost:{inside}/secret.jpg", "address_not_allowed"),
        ("http://[::ffff:127.0.0.1]:{inside}/secret.jpg", "address_not_allowed"),
        ("http://169.254.169.254/latest/meta-data/", "address_not_allowed"),
        ("http://10.0.0.1/1.jpg", "address_not_allowed"),
        ("{web}/to-the-inside", "address_not_allowed"),
        ("{web}/to-a-file", "redirect_not_allowed"),
        ("{web}/round", "too_many_redirects"),
        ("{web}/gone", "gone"),
        ("{web}/forbidden", "forbidden"),
        ("file://{folder}/private.jpg", "path_not_allowed"),
        ("file://{folder}/photos/../private.jpg", "path_not_allowed"),
        ("file://{folder}/photos/link.jpg", "path_not_allowed"),
        ("file:///etc/passwd", "path_not_allowed"),
        ("file://{folder}/photos/none.jpg", "not_found"),
        ("s3://payroll/scan.jpg", "bucket_not_allowed"),
        ("ftp://photos.example/1.jpg", "bad_uri"),
        ("data:image/png;base64,iVBORw0KGgo=", "bad_uri"),
        ("nonsense", "bad_uri"),
    ],
)
def test_what_may_not_be_fetched_is_422_with_its_reason(
    service: RunningService, web: HttpServer, inside: HttpServer, folder: Path, uri: str, reason: str
) -> None:
    web.behave("/to-the-inside", http.redirect(f"{inside.url}/secret.jpg"))
    web.behave("/to-a-file", http.redirect("file:///etc/passwd"))
    web.behave("/round", http.redirect(f"{web.url}/round"))
    web.behave("/gone", http.status(410))
    web.behave("/forbidden", http.status(403))
    answer = ask(service, uri.format(web=web.url, inside=inside.port, folder=folder))
    assert (answer.status, answer.json["reason"]) == (422, reason)
    assert answer.json["type"] == "/v1/problems/rejected-image"
    assert inside.requests == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "not_found"),
        ("/busy", "http_429"),
        ("/broken", "http_500"),
        ("/hangs-up", "connection_reset"),
        ("/silent", "timeout"),
        ("/dripping", "timeout"),
    ],
)
def test_a_source_that_fails_now_is_502_with_its_reason(
    service: RunningService, web: HttpServer, path: str, reason: str
) -> None:
    web.behave("/busy", http.status(429))
    web.behave("/broken", http.status(500))
    web.behave("/hangs-up", http.hangs_up)
    web.behave("/silent", http.says_nothing)
    web.behave("/dripping", http.slow_drip)
    answer = ask(service, web.url + path)
    assert (answer.status, answer.json["reason"]) == (502, reason)
    assert answer.json["type"] == "/v1/problems/source-failed"


def test_a_host_that_does_not_answer_or_does_not_exist_is_502(service: RunningService) -> None:
    nobody = service.settings.private_hosts[1]
    for uri, reason in (
        (f"http://{nobody}/1.jpg", "connection_failed"),
        ("http://no-such-host.invalid/1.jpg", "dns"),
    ):
        answer = ask(service, uri)
        assert (answer.status, answer.json["reason"]) == (502, reason)


def test_a_bad_uri_among_good_ones_is_an_error_of_its_own(service: RunningService, web: HttpServer) -> None:
    answer = ask(service, "s3://payroll/scan.jpg", web.place("b.jpg", JPEG))
    assert answer.status == 200
    bad, good = (result["models"]["held@1"] for result in answer.json["results"])
    assert bad["error"]["reason"] == "bucket_not_allowed"
    assert "scores" in good


class Hanging:
    """A web server whose answers wait for the test."""

    def __init__(self, web: HttpServer) -> None:
        self.uri = web.behave("/hanging", self._answer)
        self._asked = 0
        self._lock = threading.Lock()
        self._released = threading.Event()

    def _answer(self, handler: http._Handler) -> None:
        with self._lock:
            self._asked += 1
        self._released.wait(60)
        handler.answer(200, JPEG)

    @property
    def asked(self) -> int:
        return self._asked

    def release(self) -> None:
        self._released.set()


@pytest.fixture(scope="module")
def patient(web: HttpServer, folder: Path) -> Iterator[RunningService]:
    """A service that waits for a source longer than this test takes. Its model takes one image at a time."""
    options: dict[str, Any] = {"private_hosts": [f"127.0.0.1:{web.port}"], "fetch_timeout_s": 50}
    with running(folder, "held@1", request_timeout_s=60, item_timeout_s=120, **options) as service:
        yield service


@contextmanager
def asking(service: RunningService, uri: str, **headers: str) -> Iterator[list[Future[Answered]]]:
    """Ask for the image at a URI many times at once, and wait for the answers at the end."""
    with ThreadPoolExecutor(HANGING) as threads:
        yield [threads.submit(ask, service, uri, **headers) for _ in range(HANGING)]


def test_a_source_that_hangs_stops_no_image_that_is_sent_as_bytes(
    patient: RunningService, web: HttpServer
) -> None:
    hanging = Hanging(web)
    with asking(patient, hanging.uri) as answers:
        try:
            Held(patient).wait_until_admitted(HANGING)
            wait_until(lambda: hanging.asked > 0, "the source is asked", patient)
            assert patient.analyze(JPEG, "", **IN_GOOD_TIME).status == 200
        finally:
            hanging.release()
    assert {answer.result().status for answer in answers} == {200}


def test_neither_do_fetches_that_hang_for_clients_that_left(patient: RunningService, web: HttpServer) -> None:
    hanging = Hanging(web)
    try:
        with asking(patient, hanging.uri, **{"X-Request-Timeout-Ms": "1000"}) as answers:
            pass
        assert {answer.result().status for answer in answers} == {503}
        assert patient.analyze(JPEG, "", **IN_GOOD_TIME).status == 200
    finally:
        hanging.release()
