"""The URL of a RabbitMQ broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.errors import UsageError
from workers.queues import open_broker
from workers.queues.rabbitmq.url import address_of


def test_a_host_is_all_that_a_url_needs() -> None:
    address = address_of("amqp://broker")
    assert (address.host, address.port, address.vhost) == ("broker", 5672, "/")
    assert (address.user, address.password, address.security) == ("guest", "guest", None)
    assert (address.management, address.heartbeat_s) == ("http://broker:15672", 10)
    assert address.counted_s == 6


def test_a_url_may_have_every_option(tmp_path: Path) -> None:
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).touch()
    files = f"cafile={tmp_path}/ca.pem&certfile={tmp_path}/me.pem&keyfile={tmp_path}/me.key"
    management = "management=https://watch:15671/rabbit/"
    address = address_of(
        f"amqps://me:p%40ss@[::1]:7/photos%2ftest?{files}&{management}&heartbeat=2&counted_s=0.6"
    )
    assert (address.host, address.port, address.vhost) == ("::1", 7, "photos/test")
    assert (address.user, address.password, address.heartbeat_s) == ("me", "p@ss", 2)
    assert address.counted_s == 0.6
    assert address.management == "https://watch:15671/rabbit"
    assert address.security is not None
    assert address.security.cafile == tmp_path / "ca.pem"
    assert address.security.keyfile == tmp_path / "me.key"


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("amqp://", "write amqp://user:password@host:5672/vhost"),
        ("amqp:///photos", "write amqp://"),
        ("amqp://me:secret@broker/a/b", "write %2f for /"),
        ("amqp://me:secret@broker#x", "write amqp://"),
        ("amqp://me:secret@broker:99999", "the port must be a number up to 65535"),
        ("amqp://me:secret@broker?prefetch=1", "unknown option 'prefetch'; known: management, heartbeat"),
        (
            "amqp://me:secret@broker?heartbeat=0",
            "heartbeat=0: must be seconds, 1 to 3600; without heartbeats",
        ),
        (
            "amqp://me:secret@broker?counted_s=0",
            "counted_s=0: must be seconds, up to 3600; a little more than",
        ),
        ("amqp://me:secret@broker?counted_s=nan", "counted_s=nan: must be seconds"),
        ("amqp://me:secret@broker?heartbeat=soon", "heartbeat=soon: must be seconds"),
        (
            "amqp://me:secret@broker?management=broker:15672",
            "management must be a URL such as http://host:15672",
        ),
        ("amqp://me:secret@broker?management=http://me:secret@broker", "without user and password"),
        ("amqp://me:secret@broker?cafile=/dev/null/ca", "cafile /dev/null/ca: there is no such file"),
        ("amqps://me:secret@broker?cafile=/nowhere.pem", "cafile /nowhere.pem: there is no such file"),
        (f"amqp://me:secret@broker?cafile={__file__}", "cafile is for encrypted connections; write amqps://"),
        (f"amqps://me:secret@broker?keyfile={__file__}", "keyfile needs the certfile that it belongs to"),
    ],
)
def test_an_invalid_url_is_refused_without_quoting_its_password(url: str, pattern: str) -> None:
    with pytest.raises(UsageError, match=pattern) as raised:
        address_of(url)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_address_shows_no_password() -> None:
    address = address_of("amqp://me:secret@broker/photos")
    assert str(address) == "broker:5672/photos"
    assert "secret" not in repr(address)


def test_nothing_is_connected_until_it_is_used() -> None:
    for scheme in ("amqp", "amqps"):
        open_broker(f"{scheme}://127.0.0.1:1").close()


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown broker scheme 'kafka'; known: amqp, amqps, sqlite"):
        open_broker("kafka://h")
