"""A node with passwords and encryption: which logins it accepts, and the errors for the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from panopticon.errors import Unavailable, UsageError
from storage.stores.cassandra import CassandraStore
from storage.stores.cassandra.connection import CassandraTimeouts
from tests.end_to_end.command import every_program, is_refused_at_the_start
from tests.servers.cassandra import CassandraNode, make_security
from tests.storage.stores.cassandra.keyspaces import BackDoor
from tests.storage.stores.cassandra.relay import Relay
from tests.storage.stores.cassandra.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A node, and the certificate that verifies it."""

    node: CassandraNode
    cafile: Path

    def url(self, *, login: str = "cassandra:cassandra", cafile: Path | None = None, where: str = "") -> str:
        node = where or f"{self.node.host}:{self.node.port}"
        return f"cassandra://{login}@{node}/photos?create=1&replication=1&cafile={cafile or self.cafile}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    security, cafile = make_security(folder)
    node = CassandraNode(folder / "node", security=security)
    node.start()
    guarded = Guarded(node=node, cafile=cafile)
    wait_until(lambda: comes_in(guarded.url()), within_s=90)
    yield guarded
    node.kill()


def comes_in(url: str) -> bool:
    """Wait for the first user, which a new node creates a moment after it has started."""
    try:
        use(url)
    except (UsageError, Unavailable):
        return False
    return True


def use(url: str) -> None:
    with closing(CassandraStore(url, timeouts=CassandraTimeouts(connect_s=10.0))) as store:
        store.registry.models()


def refused(url: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Return the error text; the driver must not have printed anything."""
    capfd.readouterr()
    with pytest.raises(UsageError) as caught:
        use(url)
    assert "".join(capfd.readouterr()) == ""
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_wrong_password_is_refused_without_quoting_it(
    guarded: Guarded, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(guarded.url(login="cassandra:wrong-one"), capfd)
    assert "login refused for user 'cassandra'; check user and password" in message
    assert "wrong-one" not in message


@every_program
def test_a_wrong_password_is_one_line_in_every_program(
    guarded: Guarded, tmp_path: Path, command: tuple[str, ...]
) -> None:
    store = guarded.url(login="cassandra:wrong-one")
    is_refused_at_the_start(tmp_path, command, ("login refused for user 'cassandra'",), store=store)


def test_a_missing_login_is_refused(guarded: Guarded, capfd: pytest.CaptureFixture[str]) -> None:
    assert "login refused for user ''" in refused(guarded.url().replace("cassandra:cassandra@", ""), capfd)


def test_a_missing_permission_is_named(guarded: Guarded, capfd: pytest.CaptureFixture[str]) -> None:
    with BackDoor(guarded.url()) as back_door:
        back_door.run("CREATE ROLE IF NOT EXISTS guest WITH PASSWORD = 'guest-word' AND LOGIN = true")
    message = refused(guarded.url(login="guest:guest-word"), capfd)
    assert "user 'guest' lacks a permission" in message
    assert "SELECT" in message


def test_a_certificate_that_does_not_verify_is_refused(
    guarded: Guarded, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, another = make_security(tmp_path)
    assert "the certificate of a node does not verify" in refused(guarded.url(cafile=another), capfd)


@every_program
def test_a_certificate_that_does_not_verify_is_one_line_in_every_program(
    guarded: Guarded, tmp_path: Path, command: tuple[str, ...]
) -> None:
    _, another = make_security(tmp_path)
    words = ("the certificate of a node does not verify",)
    is_refused_at_the_start(tmp_path, command, words, store=guarded.url(cafile=another))


def test_a_certificate_for_another_address_is_refused(
    guarded: Guarded, capfd: pytest.CaptureFixture[str]
) -> None:
    with Relay(guarded.node.host, guarded.node.port, at="127.0.0.2") as relay:
        message = refused(guarded.url(where=f"127.0.0.2:{relay.port}"), capfd)
    assert "the certificate of a node does not verify" in message


def test_a_host_name_is_verified_by_its_address(guarded: Guarded) -> None:
    use(guarded.url(where=f"localhost:{guarded.node.port}"))


def test_an_unencrypted_connection_is_an_outage_that_does_not_quote_the_password(guarded: Guarded) -> None:
    with pytest.raises(Unavailable) as caught:
        use(guarded.url().replace(f"&cafile={guarded.cafile}", ""))
    assert "cassandra:cassandra" not in str(caught.value)
