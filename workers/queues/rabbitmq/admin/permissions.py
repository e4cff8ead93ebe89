"""What a user may not do: asked of names that nobody has, so that nothing is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pika import exceptions as pika_errors

from workers.queues.rabbitmq.errors import is_forbidden, is_missing
from workers.queues.rabbitmq.transport.buffered_connection import CoalescingConnection
from workers.queues.rabbitmq.transport.channels import Channel, opened_channel

NOBODY = "panopticon.nobody"

Question = Callable[[Channel], Awaitable[object]]


async def missing_permissions(connection: CoalescingConnection) -> list[str]:
    """Such as `read`. In an alarm no answer comes, since some of the questions publish."""
    questions: dict[str, Question] = {
        "configure": lambda channel: channel.ask(channel.raw.queue_delete, queue=NOBODY),
        "write": lambda channel: _publish(channel, NOBODY),
        "write to amq.default": lambda channel: _publish(channel, ""),
        "read": lambda channel: channel.ask(channel.raw.queue_purge, queue=NOBODY),
    }
    return [name for name, question in questions.items() if await _is_refused(connection, question)]


async def _is_refused(connection: CoalescingConnection, question: Question) -> bool:
    """A broker looks at permissions first, and only then whether there is such a thing."""
    async with opened_channel(connection) as channel:
        try:
            await question(channel)
        except pika_errors.ChannelClosedByBroker as error:
            if is_forbidden(error):
                return True
            if not is_missing(error):
                raise
    return False


async def _publish(channel: Channel, exchange: str) -> None:
    """To a queue that nobody has; what is asked next is answered after it."""
    channel.raw.basic_publish(exchange, NOBODY, b"")
    await channel.ask(channel.raw.basic_qos, prefetch_count=1)
