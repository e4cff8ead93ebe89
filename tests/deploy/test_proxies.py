"""nginx and HAProxy, with the files that we ship, in front of two real hosts."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from functools import partial
from pathlib import Path

import pytest

from tests.pictures import encoded, photo
from tests.servers import haproxy, nginx
from tests.servers.espresso import Answer, EspressoHost, ask, ask_on
from tests.servers.haproxy import HAProxy
from tests.servers.http import HttpServer
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy
from workers.serving.problem_kinds import CATALOGUE

DRAIN_S = 4.0
"""More than the two checks, a second apart, after which HAProxy sees that a host is not ready."""
CLIENTS = 4
ANALYZE = "/v1/analyze"
PHOTO = encoded(photo(), "JPEG")
PROXIES: dict[str, type[Proxy]] = {"nginx": Nginx, "haproxy": HAProxy}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Hosts = tuple[EspressoHost, EspressoHost]

pytestmark = pytest.mark.xdist_group("servers")


@pytest.fixture(scope="module")
def running_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    first, second = (EspressoHost(tmp_path_factory.mktemp("host"), drain_s=DRAIN_S) for _ in range(2))
    with first.running(), second.running():
        yield first, second


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, running_hosts: Hosts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    ports = [host.port for host in running_hosts]
    with PROXIES[request.param](tmp_path_factory.mktemp(request.param), ports).running() as proxy:
        yield proxy


@pytest.fixture
def hosts(proxy: Proxy, running_hosts: Hosts) -> Hosts:
    """Both hosts, once each gets requests from the proxy."""

    def both_are_asked() -> bool:
        before = [host.analyzed() for host in running_hosts]
        for _ in range(4):
            ask(proxy.port, ANALYZE, PHOTO)
        return all(host.analyzed() > count for host, count in zip(running_hosts, before, strict=True))

    wait_until(both_are_asked, "both hosts behind the proxy", limit_s=30)
    return running_hosts


class Load:
    """Clients that send one photo after another, each on one connection, while the block lasts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ending = threading.Event()
        self.answered = 0
        self.failures: list[str] = []

    @contextmanager
    def running(self) -> Iterator[Load]:
        threads = [threading.Thread(target=self._send, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            self.wait_for_more()
            yield self
            self.wait_for_more()
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def wait_for_more(self) -> None:
        """Return once each client, on average, has had some more answers."""
        until = self.answered + 25 * CLIENTS
        wait_until(lambda: self.answered >= until or bool(self.failures), "answers under load", limit_s=60)

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ending.is_set():
            try:
                answer = ask_on(connection, ANALYZE, PHOTO)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status != 200:
                self.failures.append(f"{answer.status} {answer.body!r:.300}")
            self.answered += 1
        connection.close()


def has_analyzed(host: EspressoHost) -> bool:
    """Return whether it has answered a request for an image since it was started."""
    return host.analyzed() > 0


def assert_problem(answer: Answer, slug: str) -> None:
    kind = CATALOGUE[slug]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/v1/problems/{slug}"
    assert answer.headers["x-request-id"]
    assert answer.status == kind.status


def test_nginx_accepts_the_file_as_it_is_shipped(tmp_path: Path) -> None:
    settings = tmp_path / "nginx.conf"
    settings.write_text(nginx.settings_around(nginx.SHIPPED, tmp_path))
    ran = subprocess.run([nginx.nginx(), "-t", "-c", settings], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "[warn]" not in ran.stderr


def test_haproxy_accepts_the_file_as_it_is_shipped() -> None:
    command = [haproxy.haproxy(), "-c", "-f", str(haproxy.SHIPPED)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr


@pytest.mark.parametrize("file", [nginx.SHIPPED, haproxy.SHIPPED], ids=lambda file: file.name)
def test_the_problems_of_a_proxy_are_those_of_the_service(file: Path) -> None:
    documents = [json.loads(each) for each in re.findall(r"'(\{\"type.*?\})'", file.read_text("utf-8"))]
    assert documents
    for document in documents:
        kind = CATALOGUE[document["type"].rpartition("/")[2]]
        assert (document["title"], document["status"]) == (kind.title, kind.status)


def test_hosts_take_turns(proxy: Proxy, hosts: Hosts) -> None:
    before = [host.analyzed() for host in hosts]
    for _ in range(10):
        assert ask(proxy.port, ANALYZE, PHOTO).status == 200
    counts = [host.analyzed() - count for host, count in zip(hosts, before, strict=True)]
    assert sum(counts) == 10
    assert min(counts) >= 4


def test_a_host_that_is_killed_costs_no_request(proxy: Proxy, hosts: Hosts) -> None:
    load = Load(proxy.port)
    with load.running():
        hosts[0].kill()
        load.wait_for_more()
    hosts[0].start()
    assert load.failures == []


def test_both_hosts_restarted_in_turn_cost_no_request(proxy: Proxy, hosts: Hosts) -> None:
    load = Load(proxy.port)
    with load.running():
        for host in hosts:
            host.stop()
            host.start()
            # The proxy must have found it before the next one is stopped, as an operator makes sure of.
            wait_until(partial(has_analyzed, host), "requests for the new host", limit_s=30)
    assert load.failures == []


def test_an_image_goes_to_the_next_host_if_one_answers_503(proxy: Proxy, hosts: Hosts) -> None:
    with hosts[0].stuck():
        for _ in range(4):
            answer = ask(proxy.port, ANALYZE, PHOTO, headers={"X-Request-Timeout-Ms": "500"})
            assert answer.status == 200


def test_an_image_goes_to_the_next_host_if_one_is_full(proxy: Proxy, hosts: Hosts) -> None:
    with hosts[0].full():
        for _ in range(4):
            assert ask(proxy.port, ANALYZE, PHOTO).status == 200


def test_the_client_learns_when_to_come_back_if_both_are_full(proxy: Proxy, hosts: Hosts) -> None:
    with hosts[0].full(), hosts[1].full():
        for _ in range(4):
            answer = ask(proxy.port, ANALYZE, PHOTO)
            assert_problem(answer, "gate-full")
            assert "null@1" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) >= 1
    assert ask(proxy.port, ANALYZE, PHOTO).status == 200


def test_clients_with_short_deadlines_take_no_host_out(proxy: Proxy, hosts: Hosts) -> None:
    with hosts[0].stuck(), hosts[1].stuck():
        for _ in range(8):
            answer = ask(proxy.port, ANALYZE, PHOTO, headers={"X-Request-Timeout-Ms": "20"})
            assert_problem(answer, "deadline")
    before = [host.analyzed() for host in hosts]
    for _ in range(4):
        assert ask(proxy.port, ANALYZE, PHOTO).status == 200
    assert [host.analyzed() - count for host, count in zip(hosts, before, strict=True)] == [2, 2]


def test_a_large_upload_arrives_whole(proxy: Proxy, hosts: Hosts) -> None:
    picture = encoded(photo(2000, 1750), "BMP")
    assert len(picture) > 10 * 1024 * 1024
    answer = ask(proxy.port, ANALYZE, picture)
    assert answer.status == 200
    assert answer.json()["image"]["sha256"] == hashlib.sha256(picture).hexdigest()


def test_only_nginx_sends_a_large_upload_to_the_next_host_if_one_is_full(proxy: Proxy, hosts: Hosts) -> None:
    picture = encoded(photo(700, 500), "BMP")
    with hosts[0].full():
        answers = [ask(proxy.port, ANALYZE, picture) for _ in range(4)]
    refused = [answer for answer in answers if answer.status != 200]
    if isinstance(proxy, Nginx):
        assert refused == []
    else:
        assert 0 < len(refused) < 4
        # A host that refuses closes the connection while HAProxy may still be sending: then the 429 is lost.
        assert {answer.status for answer in refused} <= {429, 503}
        assert all("retry-after" in answer.headers for answer in refused)


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(proxy: Proxy, hosts: Hosts) -> None:
    before = [host.analyzed() for host in hosts]
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)) as connection:
        connection.putrequest("POST", ANALYZE)
        connection.putheader("Content-Length", str(128 * 1024 * 1024 + 1))
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["type"] == "/v1/problems/too-large"
    assert [host.analyzed() for host in hosts] == before


@pytest.mark.parametrize("path", ["/health/ready", "/health/live", "/metrics", "/v1/../metrics", "/"])
def test_probes_and_metrics_are_not_served_to_clients(proxy: Proxy, hosts: Hosts, path: str) -> None:
    assert_problem(ask(proxy.port, path), "not-found")


def test_models_are_not_loaded_on_the_host_whose_turn_it_is(proxy: Proxy, hosts: Hosts) -> None:
    answer = ask(proxy.port, "/v1/models/null@1", method="DELETE")
    assert_problem(answer, "method-not-allowed")
    assert ask(proxy.port, "/v1/models").status == 200


def test_a_problem_of_a_host_is_passed_on_as_it_is(proxy: Proxy, hosts: Hosts) -> None:
    answer = ask(proxy.port, ANALYZE, b"not an image", headers={"X-Request-Id": "mine-1"})
    assert_problem(answer, "rejected-image")
    assert answer.json()["request_id"] == "mine-1"
    assert answer.headers["x-request-id"] == "mine-1"
    assert_problem(ask(proxy.port, f"{ANALYZE}?models=unknown", PHOTO), "unknown-model")


def test_without_any_host_the_client_gets_a_problem(proxy: Proxy, hosts: Hosts) -> None:
    for host in hosts:
        host.kill()
    try:
        for _ in range(8):
            answer = ask(proxy.port, ANALYZE, PHOTO)
            assert_problem(answer, "model-down")
            assert answer.headers["retry-after"] == "1"
    finally:
        for host in hosts:
            host.start()


@pytest.fixture(params=PROXIES)
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Proxy, HttpServer]]:
    """A proxy in front of a server that keeps what it was asked."""
    with HttpServer() as server, PROXIES[request.param](tmp_path, [server.port] * 2).running() as proxy:
        for path in ("/health/ready", "/v1/models"):
            server.behave(path, lambda handler: handler.answer(200, b"{}"))
        yield proxy, server


def passed_on(front: tuple[Proxy, HttpServer], **headers: str) -> Message[str, str]:
    """Return the headers that a host gets."""
    proxy, server = front
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    assert ask(proxy.port, "/v1/models", headers=sent).status == 200
    (got,) = [each.headers for each in server.requests if each.path == "/v1/models"]
    return got


def test_the_request_id_and_the_trace_of_a_client_are_passed_on(
    front: tuple[Proxy, HttpServer],
) -> None:
    got = passed_on(front, X_Request_Id="mine-2", traceparent=TRACE, Authorization="Bearer secret")
    assert got["X-Request-Id"] == "mine-2"
    assert got["traceparent"] == TRACE
    assert got["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("theirs", [{}, {"X_Request_Id": "a b", "traceparent": "none"}], ids=["none", "bad"])
def test_without_a_request_id_and_a_trace_the_proxy_makes_them(
    front: tuple[Proxy, HttpServer], theirs: dict[str, str]
) -> None:
    got = passed_on(front, **theirs)
    assert re.fullmatch("[0-9a-f]{32}", got["X-Request-Id"])
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", got["traceparent"])
    assert got["X-Request-Id"] in got["traceparent"]


def test_the_address_of_the_client_is_not_its_own_word(front: tuple[Proxy, HttpServer]) -> None:
    got = passed_on(front, X_Forwarded_For="1.2.3.4")
    assert got.get_all("X-Forwarded-For") == ["127.0.0.1"]
