"""What an operator does to the versions of a model: each a compare-and-set of one record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from panopticon.cards.cards import ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Broker, Store
from panopticon.messages import ModelActivated, encode, from_ms
from panopticon.models.weights import refuse_altered_weights
from panopticon.registry import transitions
from panopticon.registry.records import ModelEntry, VersionState
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from workers.registry.records import read_model, swap_once
from workers.registry.register import new_entry, refuse_other_digest

log = logging.getLogger(__name__)


class Versions:
    """Nothing is tried a second time: who was overtaken by somebody else looks first and decides again."""

    def __init__(
        self,
        *,
        store: Store,
        broker: Broker,
        by: str,
        reason: str = "",
        warn: Callable[[str], object] = log.warning,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`warn` hears what went wrong after all was done. `clock`: seconds since 1970, UTC."""
        self._store = store
        self._broker = broker
        self._by = by
        self._reason = reason
        self._warn = warn
        self._clock = clock

    @property
    def _author(self) -> Author:
        """At this moment."""
        return Author(by=self._by, at_ms=int(self._clock() * 1000), reason=self._reason)

    def read(self, model: str) -> ModelEntry:
        """Raises: UsageError naming the models that are registered."""
        return read_model(model, self._store.registry)

    def add(self, card: ModelCard) -> ModelEntry:
        """Register a version, which is not fed yet. Raises: UsageError if its number is taken."""
        expected = self._store.registry.read(card.name)
        entry = expected or transitions.new_model(card.name, card.task)
        _refuse_other_task(card, entry)
        known = entry.version(card.version)
        if known is not None:
            refuse_other_digest(card, known)
        version = new_entry(card, self._store.archive, self._author)
        return self._swap(expected, transitions.add(entry, version, self._author))

    def shadow(self, name: VersionName) -> ModelEntry:
        """Bind its queues, then say so: what is uploaded from now on reaches it."""
        entry = self.read(name.model)
        changed = transitions.shadow(entry, name.version, self._author)
        self._broker.topology.bind(name)
        try:
            return self._swap(entry, changed)
        except UsageError:
            self._unbind_unless_fed(name)
            raise

    def activate(
        self, card: ModelCard, *, refuse_unfit: Callable[[ModelEntry], None] = lambda _: None
    ) -> ModelEntry:
        """Let a shadow answer. `refuse_unfit` looks at the record's reports, and raises UsageError.

        Raises: UsageError for another digest, altered weights, or a version that is no shadow, too.
        """
        entry = self.read(card.name)
        refuse_other_digest(card, transitions.known_version(entry, card.version))
        refuse_altered_weights(card)
        changed = transitions.activate(entry, card.version, self._author)
        refuse_unfit(entry)
        return self._switch(entry, changed)

    def roll_back(self, model: str) -> ModelEntry:
        """Let the version answer that was active before."""
        entry = self.read(model)
        return self._switch(entry, transitions.roll_back(entry, self._author))

    def deactivate(self, model: str) -> ModelEntry:
        """Let none answer."""
        entry = self.read(model)
        return self._swap(entry, transitions.deactivate(entry, self._author))

    def check_retirable(self, name: VersionName) -> None:
        """Raises: UsageError unless it may be retired, or is already."""
        entry = self.read(name.model)
        if transitions.known_version(entry, name.version).state is not VersionState.RETIRED:
            transitions.retire(entry, name.version, self._author)

    def stop_routing(self, name: VersionName) -> ModelEntry:
        """It gets no uploads any more; what waits for it stays. Repeating is harmless, be it retired too."""
        entry = self.read(name.model)
        if transitions.known_version(entry, name.version).state.routed:
            entry = self._swap(entry, transitions.stop_routing(entry, name.version, self._author))
        # A worker that starts meanwhile binds only what is fed.
        self._broker.topology.unbind(name)
        return entry

    def retire(self, name: VersionName) -> ModelEntry:
        """For good: its workers end within seconds."""
        entry = self.read(name.model)
        retired = self._swap(entry, transitions.retire(entry, name.version, self._author))
        # Who read that it was fed may have bound it since it was unbound; who reads now binds it no more.
        self._broker.topology.unbind(name)
        return retired

    def _unbind_unless_fed(self, name: VersionName) -> None:
        if not transitions.known_version(self.read(name.model), name.version).state.routed:
            self._broker.topology.unbind(name)

    def _switch(self, entry: ModelEntry, changed: ModelEntry) -> ModelEntry:
        """Who follows the results is told afterwards; queries ask the registry, and need no telling."""
        switched = self._swap(entry, changed)
        try:
            self._broker.announce(encode(_activated(switched)))
        except Unavailable as error:
            # Done it is, and a rollback that somebody repeats would undo itself.
            self._warn(f"who follows the results has not heard of it: {error}")
        return switched

    def _swap(self, expected: ModelEntry | None, changed: ModelEntry) -> ModelEntry:
        return swap_once(expected, changed, self._store.registry)


def _activated(entry: ModelEntry) -> ModelActivated:
    """What the last event of its history was."""
    assert entry.active_version is not None
    switch = entry.history[-1]
    return ModelActivated(
        model=entry.model,
        version=entry.active_version,
        former_version=entry.former_version,
        activated_at=from_ms(switch.at_ms) or datetime.now(UTC),
        activated_by=switch.by,
        reason=switch.reason,
    )


def _refuse_other_task(card: ModelCard, entry: ModelEntry) -> None:
    if card.task != entry.task:
        raise UsageError(
            f"{card.version_name} is for {card.task}, and {card.name} is registered for {entry.task}; "
            "give the model another name"
        )
