"""The exchanges, queues and bindings of a broker, compared with their declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workers.queues.rabbitmq.topology import names
from workers.queues.rabbitmq.topology.declarations import (
    Arguments,
    Binding,
    Declarations,
    Exchange,
    version_declarations,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything in one virtual host, as the management plug-in reports it."""

    exchanges: Mapping[str, Exchange]
    queues: Mapping[str, Arguments]
    """The arguments of every queue, by its name."""
    bindings: frozenset[Binding]

    def expected(self, shared: Declarations) -> list[Declarations]:
        """Return the shared declarations, and those of every version that has an exchange or a queue."""
        versions = filter(None, map(names.version_of, [*self.exchanges, *self.queues]))
        return [shared, *map(version_declarations, sorted(set(versions)))]

    def holds_any(self, declarations: Declarations) -> bool:
        """Return whether any of these queues or exchanges exists."""
        return any(queue.name in self.queues for queue in declarations.queues) or any(
            exchange.name in self.exchanges for exchange in declarations.exchanges
        )

    def queue_differences(self, declarations: Declarations) -> Iterator[str]:
        """Yield texts such as `panopticon.search.live (x-max-length)` or `panopticon.catalogue (missing)`."""
        for queue in declarations.queues:
            actual = self.queues.get(queue.name)
            if actual is None:
                yield f"{queue.name} (missing)"
            elif different := _different_keys(actual, queue.arguments):
                yield f"{queue.name} ({', '.join(different)})"

    def exchange_differences(self, declarations: Declarations) -> Iterator[str]:
        """Yield texts such as `panopticon.results (fanout, not topic)`; a missing binding is one too."""
        for exchange in declarations.exchanges:
            actual = self.exchanges.get(exchange.name)
            if actual is None:
                yield f"{exchange.name} (missing)"
            elif actual.kind != exchange.kind:
                yield f"{exchange.name} ({actual.kind}, not {exchange.kind})"
            elif different := _different_keys(actual.arguments, exchange.arguments):
                yield f"{exchange.name} ({', '.join(different)})"
        for binding in declarations.bindings:
            # The binding of a missing exchange or queue is not reported a second time.
            both_ends_exist = binding.source in self.exchanges and binding.target in self.queues
            if both_ends_exist and binding not in self.bindings:
                by = f" by {binding.key}" if binding.key else ""
                yield f"{binding.source} to {binding.target}{by} (missing)"


def _different_keys(actual: Arguments, declared: Arguments) -> list[str]:
    return sorted(key for key in actual.keys() | declared.keys() if actual.get(key) != declared.get(key))
