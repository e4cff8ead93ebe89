"""What is on a broker, beside what should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.topology.declarations import Arguments, Binding, Exchange, Plan, plan_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One virtual host, as its management tells."""

    exchanges: Mapping[str, Exchange]
    queues: Mapping[str, Arguments]
    bindings: frozenset[Binding]

    def plans(self, shared: Plan) -> list[Plan]:
        """What should be there: what is shared, and whatever belongs to a version of which something is."""
        versions = filter(None, map(names.version_of, [*self.exchanges, *self.queues]))
        return [shared, *map(plan_of, sorted(set(versions)))]

    def holds_any(self, plan: Plan) -> bool:
        return any(queue.name in self.queues for queue in plan.queues) or any(
            exchange.name in self.exchanges for exchange in plan.exchanges
        )

    def other_queues(self, plan: Plan) -> Iterator[str]:
        """Such as `panopticon.search.live (x-max-length)`, or `panopticon.catalogue (missing)`."""
        for queue in plan.queues:
            theirs = self.queues.get(queue.name)
            if theirs is None:
                yield f"{queue.name} (missing)"
            elif others := _others(theirs, queue.arguments):
                yield f"{queue.name} ({', '.join(others)})"

    def other_exchanges(self, plan: Plan) -> Iterator[str]:
        """Such as `panopticon.results (fanout, not topic)`; with what is bound to them."""
        for exchange in plan.exchanges:
            theirs = self.exchanges.get(exchange.name)
            if theirs is None:
                yield f"{exchange.name} (missing)"
            elif theirs.kind != exchange.kind:
                yield f"{exchange.name} ({theirs.kind}, not {exchange.kind})"
            elif others := _others(theirs.arguments, exchange.arguments):
                yield f"{exchange.name} ({', '.join(others)})"
        for binding in plan.bindings:
            ends = binding.source in self.exchanges and binding.target in self.queues
            if ends and binding not in self.bindings:
                by = f" by {binding.key}" if binding.key else ""
                yield f"{binding.source} to {binding.target}{by} (missing)"


def _others(theirs: Arguments, ours: Arguments) -> list[str]:
    return sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
