from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import urllib3

from panopticon.errors import UsageError
from panopticon.metrics import Metrics
from panopticon.settings import Settings
from tests.servers.certificates import Certificate, make_certificate
from tests.workers.serving.edge.service import (
    Service,
    TinyApp,
    answer,
    get,
    is_closed,
    open_files,
    serving,
    wait_until,
)
from tests.workers.serving.edge.test_protocol import LIMITS, limits
from workers.serving.edge.address import _refusal, allow_open_files, take_address
from workers.serving.edge.limits import EdgeLimits
from workers.serving.edge.server import HttpServer
from workers.serving.edge.tls import tls_context


@pytest.fixture
def stopping() -> Iterator[Service]:
    """A service that the test itself stops."""
    service = Service(LIMITS)
    service.start()
    yield service
    service.close()


def test_the_limits_are_those_of_the_settings() -> None:
    settings = Settings(header_timeout_s=1, keep_alive_s=2, body_timeout_s=3, max_header_bytes=4096)
    assert EdgeLimits.of(settings) == EdgeLimits(
        header_timeout_s=1, keep_alive_s=2, read_answer_s=3, max_header_bytes=4096, max_connections=4096
    )


def test_an_answer_has_a_date_and_names_no_software() -> None:
    with serving(LIMITS) as service, service.connect() as client:
        client.sendall(get("/"))
        headers = answer(client).headers
        assert headers["date"].endswith("gmt")
        assert "server" not in headers


def test_headers_of_a_proxy_are_not_believed() -> None:
    with serving(LIMITS) as service, service.connect() as client:
        client.sendall(get("/client", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"))
        assert answer(client).body == b"http 127.0.0.1"


# Listening


def test_port_0_is_any_free_port_and_the_same_one_for_each_address_of_a_name() -> None:
    with closing(take_address("localhost", 0)) as address:
        assert address.port > 0
        assert {made.getsockname()[1] for made in address.sockets} == {address.port}


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    with closing(take_address("[::1]", 0)) as address:
        server = HttpServer(TinyApp(), address, LIMITS, metrics=Metrics())
        assert server.url == f"http://[::1]:{address.port}"


@pytest.mark.parametrize(
    ("host", "port", "complaint"),
    [
        ("192.0.2.1", 8080, "http_host 192.0.2.1: not an address of this machine"),
        ("no such host", 8080, "http_host no such host: not an address or a name of this machine"),
        ("a" * 300, 8080, "not an address or a name"),
    ],
)
def test_an_address_that_cannot_be_taken_is_one_line(host: str, port: int, complaint: str) -> None:
    files = open_files()
    with pytest.raises(UsageError) as refused:
        take_address(host, port)
    assert complaint in str(refused.value)
    assert open_files() == files


def test_a_port_that_is_taken_is_one_line_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(UsageError, match=rf"^http_port {port}: another program listens on {host}"):
                take_address(host, port)


def test_a_port_that_only_root_may_take_is_one_line() -> None:
    refused = OSError(13, "Permission denied")
    assert str(_refusal("127.0.0.1", 80, refused)) == (
        "http_port 80: this user may not take it; choose one from 1024 on"
    )


def test_an_address_that_was_taken_is_refused_to_others_before_anybody_listens() -> None:
    with (
        closing(take_address("127.0.0.1", 0)) as first,
        pytest.raises(UsageError, match=rf"^http_port {first.port}: another program listens"),
    ):
        take_address("127.0.0.1", first.port)


def test_an_address_is_taken_again_while_connections_of_the_service_before_end() -> None:
    with serving(LIMITS) as service:
        port = service.address.port
        with service.connect() as client:
            client.sendall(get("/", "Connection: close"))
            answer(client)
            assert is_closed(client)
    with closing(take_address("127.0.0.1", port)) as address:
        address.listen(1)


def test_more_connections_than_open_files_are_refused_with_the_way_out() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this user may open any number of files")
    with pytest.raises(UsageError, match=rf"^max_connections {hard}: needs .* set max_connections to"):
        allow_open_files(hard)


# Stopping


def test_while_draining_every_answer_is_the_last_one_of_its_connection(stopping: Service) -> None:
    with stopping.connect() as waiting, stopping.connect() as idle:
        idle.sendall(get("/"))
        assert "connection" not in answer(idle).headers
        waiting.sendall(get("/wait"))
        wait_until(lambda: ("GET", "/wait") in stopping.app.seen, "the request does not arrive")
        stopping.call(stopping.server.drain)
        stopping.call(stopping.app.released.set)
        assert answer(waiting).headers["connection"] == "close"
        assert is_closed(waiting)
        idle.sendall(get("/"))
        assert answer(idle).headers["connection"] == "close"
    assert stopping.still_answers()


def test_stopping_closes_idle_connections_and_finishes_what_is_in_flight(stopping: Service) -> None:
    with stopping.connect() as waiting, stopping.connect() as idle, stopping.connect() as used:
        used.sendall(get("/"))
        assert answer(used).status == 200
        waiting.sendall(get("/wait"))
        wait_until(lambda: ("GET", "/wait") in stopping.app.seen, "the request does not arrive")
        wait_until(lambda: stopping.connections == 3, "a connection is not accepted")
        stopped = asyncio.run_coroutine_threadsafe(stopping.server.stop(limit_s=20.0), stopping._loop)
        assert is_closed(idle)
        assert is_closed(used)
        with pytest.raises(ConnectionRefusedError):
            stopping.connect()
        stopping.call(stopping.app.released.set)
        assert answer(waiting).body == b"waited"
        assert stopped.result(20.0) == 0


def test_stopping_waits_for_a_body_that_still_comes(stopping: Service) -> None:
    with stopping.connect() as client:
        client.sendall(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
        wait_until(lambda: stopping.app.seen != [], "the request does not arrive")
        stopped = asyncio.run_coroutine_threadsafe(stopping.server.stop(limit_s=20.0), stopping._loop)
        wait_until(lambda: stopping.server.edge.draining, "it does not stop")
        client.sendall(b"x" * 200_000)
        assert answer(client).body == b"200000"
        assert stopped.result(20.0) == 0


def test_what_is_not_finished_in_time_is_cut_off_and_counted(
    stopping: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with stopping.connect() as client:
        client.sendall(get("/wait"))
        wait_until(lambda: stopping.app.seen != [], "the request does not arrive")
        assert stopping.run(stopping.server.stop(limit_s=0.1)) == 1
        assert is_closed(client)
    assert [record.getMessage() for record in caplog.records] == [
        "requests cut off, since they did not end in 0.1 s: 1"
    ]
    assert stopping.tasks == 0


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), name="here")


def test_requests_are_answered_over_tls(certificate: Certificate) -> None:
    tls = tls_context(certificate.certificate, certificate.key)
    client = ssl.create_default_context(cafile=str(certificate.certificate))
    with serving(LIMITS, tls) as service:
        assert service.server.url.startswith("https://127.0.0.1:")
        with client.wrap_socket(service.connect(), server_hostname="127.0.0.1") as secured:
            for _ in range(2):
                secured.sendall(get("/client"))
                assert answer(secured).body == b"https 127.0.0.1"
            secured.sendall(b"nonsense\r\n\r\n")
            assert answer(secured).status == 400


def test_a_client_sees_its_refusal_over_tls_too(certificate: Certificate) -> None:
    tls = tls_context(certificate.certificate, certificate.key)
    authority = str(certificate.certificate)
    with serving(LIMITS, tls) as service, urllib3.PoolManager(retries=False, ca_certs=authority) as pool:
        got = pool.request("POST", f"{service.server.url}/refuse", body=b"x" * 20_000_000)
        assert got.status == 429


def test_a_handshake_that_does_not_end_is_given_up(certificate: Certificate) -> None:
    tls = tls_context(certificate.certificate, certificate.key)
    with serving(limits(header_timeout_s=0.2), tls) as service, service.connect() as client:
        client.sendall(b"\x16\x03\x01")
        assert is_closed(client)


def test_an_old_version_of_tls_is_refused(certificate: Certificate) -> None:
    tls = tls_context(certificate.certificate, certificate.key)
    client = ssl.create_default_context(cafile=str(certificate.certificate))
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(LIMITS, tls) as service, service.connect() as plain, pytest.raises(ssl.SSLError):
        client.wrap_socket(plain, server_hostname="127.0.0.1")


def test_tls_needs_a_certificate_and_its_key(certificate: Certificate) -> None:
    assert tls_context(None, None) is None
    with pytest.raises(UsageError, match="^tls_certificate is set and tls_key is not"):
        tls_context(certificate.certificate, None)
    with pytest.raises(UsageError, match="^tls_key is set and tls_certificate is not"):
        tls_context(None, certificate.key)


def test_a_file_of_tls_that_is_wrong_is_named(certificate: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, name="other")
    (empty := tmp_path / "empty").write_bytes(b"")
    (damaged := tmp_path / "damaged").write_bytes(
        b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"
    )
    missing = tmp_path / "missing"
    faults = {
        (missing, other.key): f"tls_certificate {missing}: cannot be read: No such file",
        (other.certificate, missing): f"tls_key {missing}: cannot be read: No such file",
        (tmp_path, other.key): f"tls_certificate {tmp_path}: cannot be read: Is a directory",
        (certificate.certificate, other.key): f"tls_key {other.key}: not the key of tls_certificate",
        (empty, other.key): f"tls_certificate {empty}: not a certificate in PEM",
        (other.certificate, empty): f"tls_key {empty}: not a private key in PEM",
        (damaged, other.key): f"tls_certificate {damaged} or tls_key {other.key}: damaged",
    }
    for (file, key), complaint in faults.items():
        with pytest.raises(UsageError) as refused:
            tls_context(file, key)
        assert str(refused.value).startswith(complaint)


def test_an_encrypted_key_is_refused_without_asking_for_its_password(
    certificate: Certificate, tmp_path: Path
) -> None:
    key = tmp_path / "encrypted.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(certificate.key), "-out", str(key)]
    subprocess.run([*command, "-passout", "pass:hush"], check=True, capture_output=True)
    with pytest.raises(UsageError, match=rf"^tls_key {key}: encrypted"):
        tls_context(certificate.certificate, key)
