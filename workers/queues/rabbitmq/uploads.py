"""`Uploads` on RabbitMQ: one exchange, from which each message reaches every queue that wants it."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.messages import Lane
from workers.queues.rabbitmq.client import Client
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.transport.publisher import Message, Route
from workers.queues.uploads import is_delete


class RabbitUploads:
    def __init__(self, client: Client) -> None:
        self._client = client

    def publish(self, bodies: Sequence[bytes], lane: Lane) -> None:
        """Where it raises, some queues may have some of them; publishing all again is harmless."""
        if bodies:
            messages = [_message(body, lane) for body in bodies]
            self._client.call_at_length(self._client.publish(messages))


def _message(body: bytes, lane: Lane) -> Message:
    keys = names.DELETED if is_delete(body) else names.UPLOADED
    return Message(Route(names.UPLOADS, keys[lane]), body)
