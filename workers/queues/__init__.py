"""Message brokers, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from panopticon.errors import UsageError
from panopticon.interfaces import Broker
from panopticon.settings import Settings

RETRY_DELAYS_S = (10.0, 60.0, 600.0, 3600.0)


def open_broker(
    url: str, *, lease_s: float = 60.0, retry_delays_s: Sequence[float] = RETRY_DELAYS_S
) -> Broker:
    """Return the broker at `url`, which connects at first use. Raises: UsageError for an unknown scheme.

    `lease_s`: the time of a lease, on brokers that notice a lost consumer by time alone. `retry_delays_s`:
    the retry delays, on brokers that need a queue for each.
    """
    scheme = urlsplit(url).scheme
    if scheme not in BROKERS:
        raise UsageError(f"unknown broker scheme {scheme!r}; known: {', '.join(sorted(BROKERS))}")
    return BROKERS[scheme](url, lease_s, retry_delays_s)


def broker_of(settings: Settings) -> Broker:
    """Return the broker of the settings, with their lease and retry delays. Raises: UsageError."""
    return open_broker(settings.broker_url, lease_s=settings.lease_s, retry_delays_s=settings.retry_delays_s)


def _sqlite(url: str, lease_s: float, _retry_delays_s: Sequence[float]) -> Broker:
    from workers.queues.sqlite import SqliteBroker

    return SqliteBroker(url, lease_s=lease_s)


def _rabbitmq(url: str, _lease_s: float, retry_delays_s: Sequence[float]) -> Broker:
    try:
        from workers.queues.rabbitmq.broker import RabbitBroker
    except ModuleNotFoundError as error:
        if error.name != "pika":
            raise
        raise UsageError("an amqp:// broker needs pika: pip install 'panopticon[rabbitmq]'") from None
    return RabbitBroker(url, retry_delays_s=retry_delays_s)


BROKERS: dict[str, Callable[[str, float, Sequence[float]], Broker]] = {
    "sqlite": _sqlite,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
}
