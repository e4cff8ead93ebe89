"""The logins that a broker accepts, and the errors for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Broker
from panopticon.messages import Lane
from tests.contracts.broker import bodies
from tests.servers.certificates import make_certificate
from tests.servers.rabbitmq import RabbitNode
from tests.workers.queues.rabbitmq.access import wait_until
from tests.workers.queues.rabbitmq.conftest import SECRET, OpenBroker, allow, url_of


def assert_works(broker: Broker) -> None:
    queue = broker.catalogue()
    queue.submit([b"1"], Lane.LIVE)
    deliveries = queue.receive(max_live=1, max_backfill=0, wait_s=5)
    queue.ack(deliveries)
    assert bodies(deliveries) == [b"1"]
    wait_until(lambda: queue.depth()[Lane.LIVE].total == 0)


def assert_refused(broker: Broker, pattern: str) -> None:
    """Check that every call raises the same error, in one line, without the driver's text or the password."""
    for _ in range(2):
        with pytest.raises(UsageError, match=pattern) as raised:
            broker.catalogue().submit([b"1"], Lane.LIVE)
        assert "\n" not in str(raised.value)
        assert SECRET not in str(raised.value)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
    assert SECRET not in repr(broker)


def test_a_password_may_contain_any_character(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    assert_works(open_broker(url_of(rabbit_node, user=user, vhost=user)))


def test_a_wrong_password_is_a_usage_error(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(url_of(rabbit_node, user=user, password="wrong", vhost=user))
    assert_refused(broker, rf"login refused for user '{user}'; check user and password")


def test_an_unknown_virtual_host_is_a_usage_error(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(url_of(rabbit_node, user=user, vhost="nowhere"))
    assert_refused(broker, "there is no virtual host 'nowhere', or user .* may not use it")


def test_a_virtual_host_without_access_is_a_usage_error(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    broker = open_broker(url_of(rabbit_node, user=user, vhost=""))
    assert_refused(broker, "there is no virtual host '/', or user .* may not use it")


def test_a_missing_permission_is_a_usage_error(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    allow(rabbit_node, user, configure="")
    broker = open_broker(url_of(rabbit_node, user=user, vhost=user))
    assert_refused(broker, rf"user '{user}' lacks a permission .* rabbitmqctl set_permissions")


def test_a_user_without_access_to_management_is_a_usage_error(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    rabbit_node.management.ask("PUT", f"/api/users/{user}", {"password": SECRET, "tags": ""})
    broker = open_broker(url_of(rabbit_node, user=user, vhost=user))
    broker.catalogue().submit([b"1"], Lane.LIVE)
    with pytest.raises(UsageError, match=f"rabbitmqctl set_user_tags {user} management"):
        broker.catalogue().depth()


def test_a_refused_login_that_worked_before_is_an_outage(
    rabbit_node: RabbitNode, user: str, open_broker: OpenBroker
) -> None:
    """A broker that starts refuses logins for a while, which it accepts later."""
    broker = open_broker(url_of(rabbit_node, user=user, vhost=user))
    assert_works(broker)
    rabbit_node.management.ask("PUT", f"/api/users/{user}", {"password": "changed", "tags": "management"})
    rabbit_node.ctl("close_all_connections", "--vhost", user, "for a test")
    with pytest.raises(Unavailable, match="login refused"):
        while True:
            broker.catalogue().submit([b"1"], Lane.LIVE)
    rabbit_node.management.ask("PUT", f"/api/users/{user}", {"password": SECRET, "tags": "management"})
    wait_until(lambda: broker.catalogue().submit([b"1"], Lane.LIVE) is None)


@pytest.fixture
def secure_url(rabbit_node: RabbitNode) -> Iterator[str]:
    """The URL of a virtual host over TLS, without a cafile."""
    with rabbit_node.management.virtual_host() as vhost:
        yield urlsplit(rabbit_node.secure_url)._replace(path=f"/{vhost}").geturl()


def test_a_certificate_that_verifies_opens_an_encrypted_connection(
    rabbit_node: RabbitNode, secure_url: str, open_broker: OpenBroker
) -> None:
    assert_works(open_broker(f"{secure_url}&cafile={rabbit_node.authority.certificate}"))


def test_a_client_certificate_can_log_in(
    rabbit_node: RabbitNode, secure_url: str, tmp_path: Path, open_broker: OpenBroker
) -> None:
    ours = make_certificate(tmp_path, name="ours", authority=rabbit_node.authority)
    trusted = f"{secure_url}&cafile={rabbit_node.authority.certificate}"
    assert_works(open_broker(f"{trusted}&certfile={ours.certificate}&keyfile={ours.key}"))
    strange = make_certificate(tmp_path, name="strange")
    broker = open_broker(f"{trusted}&certfile={strange.certificate}&keyfile={strange.key}")
    assert_refused(broker, "it refuses our certificate")


def test_a_certificate_that_does_not_verify_is_a_usage_error(
    secure_url: str, tmp_path: Path, open_broker: OpenBroker
) -> None:
    assert_refused(open_broker(secure_url), "certificate does not verify; cafile must hold")
    other = make_certificate(tmp_path, name="other").certificate
    assert_refused(open_broker(f"{secure_url}&cafile={other}"), "certificate does not verify")


def test_a_certificate_for_another_host_is_a_usage_error(
    rabbit_node: RabbitNode, secure_url: str, open_broker: OpenBroker
) -> None:
    url = secure_url.replace("@127.0.0.1:", "@localhost:")
    broker = open_broker(f"{url}&cafile={rabbit_node.authority.certificate}")
    assert_refused(broker, "the URL must name a host that it is for: Hostname mismatch")


def test_a_key_of_another_certificate_is_a_usage_error(
    secure_url: str, tmp_path: Path, open_broker: OpenBroker
) -> None:
    one, other = (make_certificate(tmp_path, name=name) for name in ("one", "other"))
    broker = open_broker(f"{secure_url}&certfile={one.certificate}&keyfile={other.key}")
    assert_refused(broker, "PEM files that belong together")
