"""The logins that a server accepts, and the errors for the others."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Applied
from storage.search.opensearch import OpenSearchIndex
from storage.search.opensearch.url import address_of
from tests.contracts.examples import part, result, tag
from tests.end_to_end.command import every_program_of_search, is_refused_at_the_start
from tests.servers.gate import PASSWORD, USER, Gate
from tests.servers.http import Behaviour, HttpServer, redirect, status
from tests.storage.search.opensearch.places import Place

LOGIN = f"{USER}:{quote(PASSWORD, safe='')}@"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cafile(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@pytest.fixture
def server_port(place: Place) -> int:
    return address_of(place.url).hosts[0][1]


@pytest.fixture
def gate(server_port: int, authority: trustme.CA) -> Iterator[Gate]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Gate(server_port, tls=context, login=True) as gate:
        yield gate


def refusal(url: str) -> str:
    with closing(OpenSearchIndex(url)) as index, pytest.raises(UsageError) as raised:
        index.get(["a"])
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    return str(raised.value)


def test_a_login_and_a_certificate_give_access(place: Place, gate: Gate, cafile: Path) -> None:
    url = f"opensearch://{LOGIN}127.0.0.1:{gate.port}/{place.name}?cafile={cafile}"
    with closing(OpenSearchIndex(url)) as index:
        index.create()
        assert index.apply([result("a", part(cat=0.5))]) == [Applied.APPLIED]
        assert set(index.get(["a"])) == {"a"}


@pytest.mark.parametrize("login", ["", f"{USER}:wrong@", f"other:{quote(PASSWORD, safe='')}@"])
def test_a_wrong_login_is_one_line_without_the_password(
    place: Place, gate: Gate, cafile: Path, login: str
) -> None:
    message = refusal(f"opensearch://{login}127.0.0.1:{gate.port}/{place.name}?cafile={cafile}")
    assert "login refused for user" in message
    assert "wrong" not in message
    assert PASSWORD not in message


@every_program_of_search
def test_a_wrong_login_is_one_line_in_every_program(
    place: Place, gate: Gate, cafile: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    search = f"opensearch://{USER}:mistyped@127.0.0.1:{gate.port}/{place.name}?cafile={cafile}"
    is_refused_at_the_start(tmp_path, command, ("login refused for user",), search=search)


def test_a_certificate_that_does_not_verify_is_one_line_and_no_request_is_sent(
    place: Place, gate: Gate
) -> None:
    message = refusal(f"opensearch://{LOGIN}127.0.0.1:{gate.port}/{place.name}?tls=1")
    assert "the certificate of a node does not verify; cafile must hold what signed it" in message
    assert gate.requests == 0


@every_program_of_search
def test_a_certificate_that_does_not_verify_is_one_line_in_every_program(
    place: Place, gate: Gate, tmp_path: Path, command: tuple[str, ...]
) -> None:
    search = f"opensearch://{LOGIN}127.0.0.1:{gate.port}/{place.name}?tls=1"
    words = ("the certificate of a node does not verify",)
    is_refused_at_the_start(tmp_path, command, words, search=search)


def test_a_certificate_of_another_host_does_not_verify(place: Place, gate: Gate, cafile: Path) -> None:
    assert "does not verify" in refusal(f"opensearch://localhost:{gate.port}/{place.name}?cafile={cafile}")


def test_a_cafile_without_a_certificate_is_one_line(place: Place, gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate\n")
    message = refusal(f"opensearch://127.0.0.1:{gate.port}/{place.name}?cafile={tmp_path}/empty.pem")
    assert "holds no certificate in PEM" in message


def test_tls_at_a_port_without_tls_is_one_line(place: Place, server_port: int) -> None:
    assert "the port does not use TLS" in refusal(f"opensearch://127.0.0.1:{server_port}/{place.name}?tls=1")


@pytest.mark.parametrize(
    "answer",
    [
        status(200, b"<html>", Content_Type="text/html"),
        status(200, b"[]", Content_Type="application/json"),
        status(404, b"no such page"),
        redirect("/elsewhere"),
    ],
    ids=["html", "json", "not-found", "redirect"],
)
def test_another_web_server_is_recognised(answer: Behaviour) -> None:
    with HttpServer() as server:
        server.behave("/", answer)
        assert "is not OpenSearch" in refusal(f"opensearch://127.0.0.1:{server.port}/photos")


def test_a_closed_port_is_an_outage() -> None:
    with HttpServer() as server:
        port = server.port
    index = OpenSearchIndex(f"opensearch://ann:sesame@127.0.0.1:{port}/photos")
    with closing(index), pytest.raises(Unavailable) as raised:
        index.get(["a"])
    assert raised.value.component == "search"
    assert "sesame" not in str(raised.value)


def test_if_one_host_is_down_the_next_one_is_used(place: Place, server_port: int) -> None:
    with HttpServer() as server:
        nobody = server.port
    url = f"opensearch://127.0.0.1:{nobody},127.0.0.1:{server_port}/{place.name}"
    with closing(OpenSearchIndex(url)) as index:
        index.create()
        for number in range(4):
            assert index.apply([result(str(number), part())]) == [Applied.APPLIED]


def test_a_request_that_is_too_large_for_a_proxy_is_sent_in_halves(place: Place, server_port: int) -> None:
    large = replace(part(), tags=tuple(tag(f"label {number}") for number in range(200)))
    changes = [result(str(number), large if number == 7 else part(cat=0.5)) for number in range(40)]
    with (
        Gate(server_port, max_bytes=10_000) as gate,
        closing(OpenSearchIndex(f"opensearch://127.0.0.1:{gate.port}/{place.name}")) as index,
    ):
        index.create()
        answers = index.apply(changes)
        assert [number for number, answer in enumerate(answers) if answer is Applied.REFUSED] == [7]
        assert len(index.get([str(number) for number in range(40)])) == 39
