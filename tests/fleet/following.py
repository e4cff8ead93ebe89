"""A second consumer of results next to a fleet: a queue of its own, or a copy of the one queue of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pika
from pika.adapters.blocking_connection import BlockingChannel

from panopticon.settings import Settings
from tests.reference_consumer import ReferenceConsumer
from tests.results_tap import ResultsTap

QUEUE = "another-search"
QUIET_S = 0.5


class Source(Protocol):
    """The messages of a second consumer."""

    def install(self) -> None:
        """Begin to collect messages."""

    def take(self) -> list[bytes]:
        """Return the bodies that came since the last call."""


class OwnQueue:
    """A queue on RabbitMQ that is bound to the results exchange, as docs/wire-contract.md describes."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url.partition("?")[0])

    def install(self) -> None:
        with self._channel() as channel:
            channel.exchange_declare("panopticon.results", "topic", durable=True)
            channel.queue_declare(QUEUE, durable=True)
            channel.queue_bind(QUEUE, "panopticon.results", "#")

    def take(self) -> list[bytes]:
        """Return the bodies that came since the last call, until none comes for `QUIET_S`."""
        found: list[bytes] = []
        with self._channel() as channel:
            for method, _, body in channel.consume(QUEUE, auto_ack=True, inactivity_timeout=QUIET_S):
                if method is None:
                    break
                found.append(body)
        return found

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(self._parameters)
        try:
            yield connection.channel()
        finally:
            connection.close()


class Following:
    """A reference consumer that applies what its source has."""

    def __init__(self, settings: Settings) -> None:
        on_server = settings.broker_url.startswith("amqp")
        self._source: Source = (OwnQueue if on_server else ResultsTap)(settings.broker_url)
        self.consumer = ReferenceConsumer()

    def begin(self) -> None:
        self._source.install()

    def catch_up(self) -> ReferenceConsumer:
        """Apply all messages that came; return the consumer."""
        for body in self._source.take():
            self.consumer.apply(body)
        return self.consumer
