"""The exchanges, queues and bindings that Panopticon needs on a broker, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.topology import names

DELIVERY_LIMIT = 1000
"""Only a safety net for a message that kills worker after worker: Panopticon counts attempts itself."""
NO_LIMIT = 2**31 - 1
"""Newer brokers have a limit of 20 where none is declared, and drop messages that exceed it."""

Arguments = Mapping[str, str | int]

_WITHOUT_LOSS: Arguments = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}

# After too many deliveries a message goes where an operator will see it.
_LIMITED: Arguments = {
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": names.UNDELIVERABLE,
    **_WITHOUT_LOSS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One exchange; `kind` is direct, fanout or topic."""

    name: str
    kind: str
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumQueue:
    """One replicated queue."""

    name: str
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The binding of a queue, or of an exchange, to an exchange."""

    source: str
    key: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Everything that is declared together, in the order in which it is declared."""

    exchanges: Sequence[Exchange]
    queues: Sequence[QuorumQueue]
    bindings: Sequence[Binding]


def shared_declarations(*, retry_delays_s: Sequence[float], max_results: int) -> Declarations:
    """Return what all models share. `max_results`: messages in a search queue before it refuses more."""
    retry_queues = {names.retry_queue_of(delay_s): round(delay_s * 1000) for delay_s in retry_delays_s}
    return Declarations(
        exchanges=[
            _exchange(names.UNROUTED, "fanout"),
            _exchange(names.UPLOADS, "topic", {"alternate-exchange": names.UNROUTED}),
            _exchange(names.RESULTS, "topic"),
            *(_exchange(name, "fanout") for name in retry_queues),
        ],
        queues=[
            _queue(names.UNDELIVERABLE, {"x-delivery-limit": NO_LIMIT}),
            _queue(names.UNROUTED, {"x-delivery-limit": NO_LIMIT}),
            *(_queue(name, _LIMITED) for name in names.CATALOGUE.values()),
            *(_queue(name, {**_LIMITED, "x-max-length": max_results}) for name in names.SEARCH.values()),
            # A retry queue has no dead-letter routing key: a message keeps its own, which names the queue
            # that it returns to.
            *(
                _queue(name, {"x-message-ttl": delay_ms, "x-dead-letter-exchange": "", **_WITHOUT_LOSS})
                for name, delay_ms in retry_queues.items()
            ),
        ],
        bindings=[
            Binding(source=names.UNROUTED, key="", target=names.UNROUTED),
            *_bindings(names.UPLOADS, names.UPLOADED, names.CATALOGUE),
            *_bindings(names.UPLOADS, names.DELETED, names.CATALOGUE),
            *_bindings(names.RESULTS, names.RESULT, names.SEARCH),
            Binding(source=names.RESULTS, key=names.MODEL_EVENT, target=names.SEARCH[Lane.LIVE]),
            *(Binding(source=name, key="", target=name) for name in retry_queues),
        ],
    )


def version_declarations(version: VersionName) -> Declarations:
    """Return what one model version needs; uploads reach it once its `upload_bindings` are made too.

    What reaches its exchange after an operator has deleted its queues goes to the unrouted messages.
    """
    exchange, queues = names.exchange_of(version), names.queues_of(version)
    return Declarations(
        exchanges=[_exchange(exchange, "direct", {"alternate-exchange": names.UNROUTED})],
        queues=[_queue(name, _LIMITED) for name in queues.values()],
        bindings=[*_bindings(exchange, names.UPLOADED, queues)],
    )


def upload_bindings(version: VersionName) -> list[Binding]:
    """Return the bindings by which uploads reach a version; the last one shows that it is bound."""
    exchange = names.exchange_of(version)
    return [
        Binding(source=names.UPLOADS, key=names.UPLOADED[lane], target=exchange)
        for lane in (Lane.BACKFILL, Lane.LIVE)
    ]


def _exchange(name: str, kind: str, arguments: Arguments | None = None) -> Exchange:
    return Exchange(name=name, kind=kind, arguments=arguments or {})


def _queue(name: str, arguments: Arguments) -> QuorumQueue:
    return QuorumQueue(name=name, arguments={"x-queue-type": "quorum", **arguments})


def _bindings(source: str, keys: Mapping[Lane, str], targets: Mapping[Lane, str]) -> Iterator[Binding]:
    return (Binding(source=source, key=keys[lane], target=targets[lane]) for lane in Lane)
