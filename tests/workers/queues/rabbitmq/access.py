"""The access of the suites to a real RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from panopticon.errors import Unavailable
from panopticon.interfaces import Broker
from tests.contracts.broker import BrokerAccess
from tests.servers.blackhole import Blackhole
from tests.servers.rabbitmq import RabbitSite
from workers.queues.rabbitmq.broker import RabbitBroker

LIMIT_S = 30.0


class RabbitAccess(BrokerAccess):
    """The access to a new virtual host for each test. Leases lapse with their connection, and not by time."""

    lease_s = 0.2
    wait_s = 0.15
    url: str
    site: RabbitSite
    between: Blackhole
    """The proxy that every connection of these brokers goes through."""

    @pytest.fixture(autouse=True)
    def _place(self, rabbit_site: RabbitSite) -> Iterator[None]:
        self.site = rabbit_site
        self.retry_delay_s = 2 * rabbit_site.counted_s + 0.2
        with rabbit_site.virtual_host() as url, through_blackhole(url) as (self.url, self.between):
            yield

    def open_broker(self) -> Broker:
        return RabbitBroker(self.url, retry_delays_s=(self.retry_delay_s,))

    def let_time_pass(self, seconds: float) -> None:
        """Wait for real, and a little longer until due messages are delivered."""
        time.sleep(seconds + self.wait_s)

    def lapse(self) -> None:
        self.settle()
        self.between.cut()

    def settle(self) -> None:
        """Wait until the counts of the broker stay the same for a while."""
        seen, since_s = self.site.management.queues(self._vhost), time.monotonic()
        limit_s = since_s + LIMIT_S
        while time.monotonic() - since_s < self.site.counted_s:
            assert time.monotonic() < limit_s
            time.sleep(0.05)
            if (now := self.site.management.queues(self._vhost)) != seen:
                seen, since_s = now, time.monotonic()

    @property
    def _vhost(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")


class Operator:
    """An operator who changes queues and exchanges on the management page."""

    def __init__(self, site: RabbitSite, url: str) -> None:
        self._management = site.management
        self._vhost = urlsplit(url).path[1:]

    def queues(self) -> set[str]:
        return {row["name"] for row in self._management.get(f"/api/queues/{self._vhost}")}

    def kinds(self) -> set[str]:
        return {
            row["arguments"]["x-queue-type"] for row in self._management.get(f"/api/queues/{self._vhost}")
        }

    def make(self, queue: str, **arguments: object) -> None:
        body = {"durable": True, "arguments": arguments}
        self._management.ask("PUT", f"/api/queues/{self._vhost}/{queue}", body)

    def delete(self, queue: str) -> None:
        self._management.ask("DELETE", f"/api/queues/{self._vhost}/{queue}")

    def publish(self, exchange: str, routing_key: str, body: str) -> None:
        message = {
            "properties": {},
            "routing_key": routing_key,
            "payload": body,
            "payload_encoding": "string",
        }
        self._management.ask("POST", f"/api/exchanges/{self._vhost}/{quote(exchange)}/publish", message)

    def delete_exchange(self, name: str) -> None:
        self._management.ask("DELETE", f"/api/exchanges/{self._vhost}/{quote(name)}")


@contextmanager
def through_blackhole(url: str) -> Iterator[tuple[str, Blackhole]]:
    """Yield a URL that leads to a broker on this machine through a proxy, and the proxy."""
    split = urlsplit(url)
    between = Blackhole(split.port or 5672)
    between.start()
    login = split.netloc.rpartition("@")[0]
    yield urlunsplit(split._replace(netloc=f"{login}@127.0.0.1:{between.port}")), between
    between.stop()


def wait_until(ready: Callable[[], object], *, limit_s: float = LIMIT_S) -> float:
    """Return how many seconds it takes until `ready()` is true; `Unavailable` counts as false."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < limit_s:
        try:
            if ready():
                return time.monotonic() - began_s
        except Unavailable:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"not within {limit_s:g} s")
