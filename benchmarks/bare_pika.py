"""A minimal pika loop of consume → confirmed publish → ack, the reference of the queue benchmark."""

from __future__ import annotations

import time
from typing import Any

import pika

QUEUE, RESULTS = "bench.in", "bench.out"
QUORUM = {"x-queue-type": "quorum"}


def fill(url: str, bodies: list[bytes]) -> None:
    """Declare two empty quorum queues and fill the first; the confirm of the last message covers them all."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for queue in (QUEUE, RESULTS):
        channel.queue_delete(queue)
        channel.queue_declare(queue, durable=True, arguments=QUORUM)
    for body in bodies:
        channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2))
    channel.confirm_delivery()
    channel.basic_publish("", RESULTS, b"last")
    connection.close()


def one_by_one(url: str, messages: int) -> float:
    """Return the seconds of a loop that waits for a confirm after each message."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=64)
    begun_s = time.perf_counter()
    for done, (method, _, body) in enumerate(channel.consume(QUEUE), 1):
        channel.basic_publish("", RESULTS, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
        channel.basic_ack(method.delivery_tag)
        if done == messages:
            break
    seconds = time.perf_counter() - begun_s
    connection.close()
    return seconds


class WindowedLoop:
    """A loop with up to `window` messages in flight on one SelectConnection."""

    def __init__(self, url: str, *, messages: int, window: int) -> None:
        self._url = url
        self._left = messages
        self._window = window
        self._published = 0
        self._unconfirmed: dict[int, int] = {}
        self._seconds = 0.0

    def run(self) -> float:
        """Run the loop and return its seconds."""
        self._connection = pika.SelectConnection(
            pika.URLParameters(self._url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._start),
            on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
        )
        self._connection.ioloop.start()
        return self._seconds

    def _start(self, channel: Any) -> None:
        self._channel = channel
        self._begun_s = time.perf_counter()
        channel.confirm_delivery(self._confirmed)
        channel.basic_qos(prefetch_count=self._window)
        channel.basic_consume(QUEUE, self._arrived)

    def _arrived(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self._published += 1
        self._unconfirmed[self._published] = method.delivery_tag
        channel.basic_publish("", RESULTS, body, pika.BasicProperties(delivery_mode=2), mandatory=True)

    def _confirmed(self, frame: Any) -> None:
        upto, multiple = frame.method.delivery_tag, frame.method.multiple
        done = [tag for tag in self._unconfirmed if tag == upto or (multiple and tag < upto)]
        for tag in done:
            self._channel.basic_ack(self._unconfirmed.pop(tag))
        self._left -= len(done)
        if self._left == 0:
            self._seconds = time.perf_counter() - self._begun_s
            self._connection.close()
