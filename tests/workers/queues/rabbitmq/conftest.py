"""One virtual host, clients that end with the test, and a user whose permissions can be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.workers.queues.rabbitmq.access import Operator
from workers.queues.rabbitmq.broker import RabbitBroker

RETRY_DELAY_S = 0.3

SECRET = "correct horse/battery@staple"
QUOTED = "correct%20horse%2fbattery%40staple"

OpenBroker = Callable[..., RabbitBroker]


@pytest.fixture
def url(rabbit_site: RabbitSite) -> Iterator[str]:
    """The URL of an empty virtual host."""
    with rabbit_site.virtual_host() as url:
        yield url


@pytest.fixture
def operator(rabbit_site: RabbitSite, url: str) -> Operator:
    return Operator(rabbit_site, url)


@pytest.fixture
def open_broker() -> Iterator[OpenBroker]:
    """Return a function that opens a broker, with `RETRY_DELAY_S` as the only retry delay by default."""
    with ExitStack() as stack:

        def opened(url: str, **settings: object) -> RabbitBroker:
            chosen = {"retry_delays_s": (RETRY_DELAY_S,), **settings}
            return stack.enter_context(closing(RabbitBroker(url, **chosen)))  # type: ignore[arg-type]

        yield opened


@pytest.fixture
def user(rabbit_node: RabbitNode, caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """A user with the password SECRET and all permissions on a virtual host of the same name.

    Nothing that is logged during the test may contain the password.
    """
    caplog.set_level("DEBUG")
    with rabbit_node.management.virtual_host() as name:
        account = {"password": SECRET, "tags": "management"}
        rabbit_node.management.ask("PUT", f"/api/users/{name}", account)
        allow(rabbit_node, name)
        yield name
        rabbit_node.management.ask("DELETE", f"/api/users/{name}")
    assert SECRET not in caplog.text
    assert QUOTED not in caplog.text


def allow(node: RabbitNode, user: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
    """Set the user's permissions on the virtual host of the same name, as patterns of names."""
    patterns = {"configure": configure, "write": write, "read": read}
    node.management.ask("PUT", f"/api/permissions/{user}/{user}", patterns)


def url_of(node: RabbitNode, *, user: str, password: str = QUOTED, vhost: str) -> str:
    return f"amqp://{user}:{password}@127.0.0.1:{node.ports.amqp}/{vhost}?management={node.management.url}"
