"""What must be there on the broker, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from workers.queues.rabbitmq.topology import names

DELIVERY_LIMIT = 1000
"""Only a net under a worker that dies of one message again and again: attempts are counted by us."""
NO_LIMIT = 2**31 - 1
"""Newer brokers have a limit of 20 where none is said, and drop what is beyond it."""

Arguments = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    name: str
    kind: str
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumQueue:
    name: str
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Of a queue, or of an exchange, to an exchange."""

    source: str
    key: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """In the order in which they are declared."""

    exchanges: Sequence[Exchange]
    queues: Sequence[QuorumQueue]
    bindings: Sequence[Binding]


def plan_of_all(*, retry_delays_s: Sequence[float], max_results: int) -> Plan:
    """What every model shares. `max_results`: what a search queue holds before it refuses more."""
    retry_delays = {names.retry_queue_of(delay_s): round(delay_s * 1000) for delay_s in retry_delays_s}
    limit = {"x-max-length": max_results}
    return Plan(
        exchanges=[
            _exchange(names.UNROUTED, "fanout"),
            _exchange(names.UPLOADS, "topic", {"alternate-exchange": names.UNROUTED}),
            _exchange(names.RESULTS, "topic"),
            *(_exchange(name, "fanout") for name in retry_delays),
        ],
        queues=[
            _queue(names.UNDELIVERABLE, {"x-delivery-limit": NO_LIMIT}),
            _queue(names.UNROUTED, {"x-delivery-limit": NO_LIMIT}),
            *(_queue(name, _given_up()) for name in names.CATALOGUE.values()),
            *(_queue(name, {**_given_up(), **limit}) for name in names.SEARCH.values()),
            *(_queue(name, _comes_home(delay_ms)) for name, delay_ms in retry_delays.items()),
        ],
        bindings=[
            Binding(source=names.UNROUTED, key="", target=names.UNROUTED),
            *_of_lanes(names.UPLOADS, names.UPLOADED, names.CATALOGUE),
            *_of_lanes(names.UPLOADS, names.DELETED, names.CATALOGUE),
            *_of_lanes(names.RESULTS, names.RESULT, names.SEARCH),
            Binding(source=names.RESULTS, key=names.MODEL_EVENT, target=names.SEARCH[Lane.LIVE]),
            *(Binding(source=name, key="", target=name) for name in retry_delays),
        ],
    )


def plan_of(version: VersionName) -> Plan:
    """What one model version has for itself: it is fed once `feeding` binds it to the uploads.

    What reaches its exchange while an operator has deleted its queue is kept with the unrouted.
    """
    exchange, queues = names.exchange_of(version), names.queues_of(version)
    return Plan(
        exchanges=[_exchange(exchange, "direct", {"alternate-exchange": names.UNROUTED})],
        queues=[_queue(name, _given_up()) for name in queues.values()],
        bindings=[*_of_lanes(exchange, names.UPLOADED, queues)],
    )


def feeding(version: VersionName) -> list[Binding]:
    """By which uploads reach a version; the last says that it is bound."""
    exchange = names.exchange_of(version)
    return [
        Binding(source=names.UPLOADS, key=names.UPLOADED[lane], target=exchange)
        for lane in (Lane.BACKFILL, Lane.LIVE)
    ]


def _exchange(name: str, kind: str, arguments: Arguments | None = None) -> Exchange:
    return Exchange(name=name, kind=kind, arguments=arguments or {})


def _queue(name: str, arguments: Arguments) -> QuorumQueue:
    return QuorumQueue(name=name, arguments={"x-queue-type": "quorum", **arguments})


def _given_up() -> Arguments:
    """After too many deliveries it goes where somebody will see it."""
    return {
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": names.UNDELIVERABLE,
        **_without_loss(),
    }


def _comes_home(delay_ms: int) -> Arguments:
    """No dead-letter routing key: the message keeps its own, which is the name of its home queue."""
    return {"x-message-ttl": delay_ms, "x-dead-letter-exchange": "", **_without_loss()}


def _without_loss() -> Arguments:
    return {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def _of_lanes(source: str, keys: Mapping[Lane, str], targets: Mapping[Lane, str]) -> Iterator[Binding]:
    return (Binding(source=source, key=keys[lane], target=targets[lane]) for lane in Lane)
