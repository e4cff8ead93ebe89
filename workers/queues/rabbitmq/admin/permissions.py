"""The permissions that a user lacks, tried on a name that nobody uses, so that nothing is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pika import exceptions as pika_errors

from workers.queues.rabbitmq.errors import is_forbidden, is_missing
from workers.queues.rabbitmq.transport.buffered_connection import BufferedConnection
from workers.queues.rabbitmq.transport.channels import Channel, opened_channel

UNUSED = "panopticon.nobody"

Question = Callable[[Channel], Awaitable[object]]


async def missing_permissions(connection: BufferedConnection) -> list[str]:
    """Return the permissions that the user lacks, such as `read`.

    Does not return during an alarm of the broker, since some of the questions publish.
    """
    questions: dict[str, Question] = {
        "configure": lambda channel: channel.ask(channel.raw.queue_delete, queue=UNUSED),
        "write": lambda channel: _publish(channel, UNUSED),
        "write to amq.default": lambda channel: _publish(channel, ""),
        "read": lambda channel: channel.ask(channel.raw.queue_purge, queue=UNUSED),
    }
    return [name for name, question in questions.items() if await _is_refused(connection, question)]


async def _is_refused(connection: BufferedConnection, question: Question) -> bool:
    # A broker checks permissions before it looks whether the queue exists.
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
    # Publishing itself has no answer; the next question is answered after it.
    channel.raw.basic_publish(exchange, UNUSED, b"")
    await channel.ask(channel.raw.basic_qos, prefetch_count=1)
