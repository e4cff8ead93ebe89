"""The `Uploads` of RabbitMQ: one exchange that routes each message to the queues bound to it."""

from __future__ import annotations

from collections.abc import Sequence

from panopticon.messages import ImageMessage, Lane, encode
from workers.queues.rabbitmq.client import RabbitClient
from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.transport.publisher import OutgoingMessage, Route


class RabbitUploads:
    """An `Uploads`."""

    def __init__(self, client: RabbitClient) -> None:
        self._client = client

    def publish(self, messages: Sequence[ImageMessage], lane: Lane) -> None:
        """Publish to the exchange. If it raises, any message may be in any queue; repeating is harmless."""
        if messages:
            keys = {"uploaded": names.UPLOADED[lane], "deleted": names.DELETED[lane]}
            outgoing = [
                OutgoingMessage(Route(names.UPLOADS, keys[message.event]), encode(message))
                for message in messages
            ]
            self._client.call_at_length(self._client.publish(outgoing))
