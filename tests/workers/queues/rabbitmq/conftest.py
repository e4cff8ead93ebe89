"""One virtual host, and clients of it that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.servers.rabbitmq import RabbitSite
from workers.queues.rabbitmq.broker import RabbitBroker

RUNG_S = 0.3

OpenBroker = Callable[..., RabbitBroker]


@pytest.fixture
def url(rabbit_site: RabbitSite) -> Iterator[str]:
    """Of a virtual host in which nothing is."""
    with rabbit_site.virtual_host() as url:
        yield url


@pytest.fixture
def open_broker() -> Iterator[OpenBroker]:
    """Called with a URL and settings; the rungs are one of `RUNG_S`."""
    with ExitStack() as stack:

        def opened(url: str, **settings: object) -> RabbitBroker:
            chosen = {"retry_delays_s": (RUNG_S,), **settings}
            return stack.enter_context(closing(RabbitBroker(url, **chosen)))  # type: ignore[arg-type]

        yield opened
