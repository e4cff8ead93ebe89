"""`Uploads` on RabbitMQ: one exchange, from which each message reaches every queue that wants it."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.messages import ImageMessage, Lane, encode
from workers.queues.rabbitmq.client import Client
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.transport.publisher import Message, Route


class RabbitUploads:
    def __init__(self, client: Client) -> None:
        self._client = client

    def publish(self, messages: Sequence[ImageMessage], lane: Lane) -> None:
        """Where it raises, some queues may have some of them; publishing all again is harmless."""
        if messages:
            outgoing = [_outgoing(message, lane) for message in messages]
            self._client.call_at_length(self._client.publish(outgoing))


def _outgoing(message: ImageMessage, lane: Lane) -> Message:
    keys = names.DELETED if message.event == "deleted" else names.UPLOADED
    return Message(Route(names.UPLOADS, keys[lane]), encode(message))
