"""Changing the state of a model's versions: each change is one compare-and-set of the model's record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from panopticon.cards.cards import ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Broker, Store
from panopticon.messages import ModelActivated, encode
from panopticon.models.weights import refuse_altered_weights
from panopticon.registry import transitions
from panopticon.registry.notices import notice_of
from panopticon.registry.records import ModelEntry, VersionState
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from workers.registry.records import read_model, swap_once
from workers.registry.register import new_entry, refuse_other_digest

log = logging.getLogger(__name__)


class Versions:
    """An operator's changes to versions. None is retried: if somebody else changed the record meanwhile, the
    operator is to look at it first and decide again."""

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
        """`warn` gets a line about a change that was made and could not be announced. `clock`: seconds since
        1970, UTC."""
        self._store = store
        self._broker = broker
        self._by = by
        self._reason = reason
        self._warn = warn
        self._clock = clock

    @property
    def _author(self) -> Author:
        """The operator, at this moment."""
        return Author(by=self._by, at_ms=int(self._clock() * 1000), reason=self._reason)

    def read(self, model: str) -> ModelEntry:
        """Return a model's record. Raises: UsageError naming the registered models; Unavailable."""
        return read_model(model, self._store.registry)

    def add(self, card: ModelCard) -> ModelEntry:
        """Register a version, which gets no uploads yet.

        Raises: CardError if its number is registered with another digest, or its policy is not valid;
        UsageError if its number is taken, or its model has another task; Unavailable.
        """
        expected = self._store.registry.read(card.name)
        entry = expected or transitions.new_model(card.name, card.task)
        if card.task != entry.task:
            raise UsageError(
                f"{card.version_name} is for {card.task}, and {card.name} is registered for {entry.task}; "
                "give the model another name"
            )
        known = entry.version(card.version)
        if known is not None:
            refuse_other_digest(card, known)
        version = new_entry(card, self._store.archive, self._author)
        return self._swap(expected, transitions.add(entry, version, self._author))

    def shadow(self, name: VersionName) -> ModelEntry:
        """Bind a version's queues, then record it as a shadow: later uploads reach it.

        Raises: UsageError unless it is registered and nothing more; Unavailable.
        """
        entry = self.read(name.model)
        changed = transitions.shadow(entry, name.version, self._author)
        self._broker.topology.bind(name)
        try:
            return self._swap(entry, changed)
        except UsageError:
            # Somebody else changed the record first, and may have made it a shadow too.
            if not transitions.known_version(self.read(name.model), name.version).state.routed:
                self._broker.topology.unbind(name)
            raise

    def activate(
        self, card: ModelCard, *, refuse_unfit: Callable[[ModelEntry], None] = lambda _: None
    ) -> ModelEntry:
        """Let a shadow answer queries. `refuse_unfit` raises UsageError if the record's reports speak
        against it.

        Raises: CardError for another digest or altered weights; UsageError unless it is a shadow;
        Unavailable.
        """
        entry = self.read(card.name)
        refuse_other_digest(card, transitions.known_version(entry, card.version))
        refuse_altered_weights(card)
        changed = transitions.activate(entry, card.version, self._author)
        refuse_unfit(entry)
        return self._switch(entry, changed)

    def roll_back(self, model: str) -> ModelEntry:
        """Let the version that was active before answer queries again.

        Raises: UsageError if there is none, or it gets no uploads any more; Unavailable.
        """
        entry = self.read(model)
        return self._switch(entry, transitions.roll_back(entry, self._author))

    def deactivate(self, model: str) -> ModelEntry:
        """Let no version of the model answer queries. Raises: UsageError if none is active; Unavailable."""
        entry = self.read(model)
        return self._switch(entry, transitions.deactivate(entry, self._author))

    def check_retirable(self, name: VersionName) -> None:
        """Raise UsageError unless the version may be retired, or is retired already."""
        entry = self.read(name.model)
        if transitions.known_version(entry, name.version).state is not VersionState.RETIRED:
            transitions.retire(entry, name.version, self._author)

    def stop_routing(self, name: VersionName) -> ModelEntry:
        """Send a version no more uploads; messages that wait for it stay. Repeating is harmless, also for a
        retired version. Raises: UsageError while it is active; Unavailable."""
        entry = self.read(name.model)
        if transitions.known_version(entry, name.version).state.routed:
            entry = self._swap(entry, transitions.stop_routing(entry, name.version, self._author))
        # After the record, since a worker that starts meanwhile binds the queues of routed versions.
        self._broker.topology.unbind(name)
        return entry

    def refuse_if_routed(self, name: VersionName) -> ModelEntry:
        """Return the model's record. Raises: UsageError if uploads reach the version; Unavailable.

        After `stop_routing` that means that an operator decided against retiring it.
        """
        entry = self.read(name.model)
        state = transitions.known_version(entry, name.version).state
        if state.routed:
            last = next(event for event in reversed(entry.history) if str(name) in event.what)
            raise UsageError(
                f"{name} is not retired: uploads reach it again, since somebody made this change while its "
                f"messages were processed: {last.summary}"
            )
        return entry

    def retire(self, name: VersionName) -> ModelEntry:
        """Retire a version for good: its workers end within seconds.

        Raises: UsageError while uploads reach it, or once it is retired; Unavailable.
        """
        entry = self.refuse_if_routed(name)
        retired = self._swap(entry, transitions.retire(entry, name.version, self._author))
        # A worker that read the record while uploads still reached it may have bound its queues since they
        # were unbound; a worker that reads it now does not bind them any more.
        self._broker.topology.unbind(name)
        return retired

    def _switch(self, entry: ModelEntry, changed: ModelEntry) -> ModelEntry:
        """Swap in a record with another active version, then announce it to the readers of the results.

        Queries read the registry, so they do not depend on the announcement. The indexer announces what this
        process cannot.
        """
        switched = self._swap(entry, changed)
        notice = notice_of(switched)
        try:
            if isinstance(notice, ModelActivated):
                self._broker.announce(encode(notice))
            elif notice is not None:
                # The indexer of release 0.1 would dead-letter this kind, and need not get it.
                self._broker.publish_downstream([encode(notice)])
        except Unavailable as error:
            # The switch is made; an error would invite a second rollback, which undoes the first.
            self._warn(f"the switch is made, but could not be announced: {error}; the indexer announces it")
        return switched

    def _swap(self, expected: ModelEntry | None, changed: ModelEntry) -> ModelEntry:
        return swap_once(expected, changed, self._store.registry)
