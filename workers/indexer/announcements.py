"""Announcing which version of each model is active, from the registry, for the consumers of results.

A command announces the switch that it makes, and may be killed in between, or find the broker down. The
registry has every switch, so whatever was lost is announced from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from panopticon.errors import Unavailable
from panopticon.interfaces import Broker, Registry
from panopticon.messages import encode
from panopticon.registry.notices import notice_of
from panopticon.registry.transitions import switches

EVERY_S = 30.0
"""The time in which a switch that was not announced is noticed."""


class Announcements:
    """The announcements of one indexer: one for each model at its start, and one for each switch since."""

    def __init__(self, broker: Broker, registry: Registry, *, clock: Callable[[], float]) -> None:
        self._broker = broker
        self._registry = registry
        self._clock = clock
        self._due_s = -math.inf
        # The number of switches in a model's history when it was announced.
        self._announced: dict[str, int] = {}

    def repeat_if_due(self) -> None:
        """Announce the switches that this object has not announced; if it cannot, when it is due again."""
        if self._clock() < self._due_s:
            return
        self._due_s = self._clock() + EVERY_S
        # An announcement can wait, and results must not wait for it: a broker in an alarm takes no message.
        with suppress(Unavailable):
            for model in self._registry.models():
                self._announce(model)

    def _announce(self, model: str) -> None:
        entry = self._registry.read(model)
        notice = notice_of(entry) if entry else None
        # Two switches may lead back to the same version, and one of them may have been announced.
        if entry and notice and self._announced.get(model) != len(switches(entry)):
            self._broker.publish_downstream([encode(notice)])
            self._announced[model] = len(switches(entry))
