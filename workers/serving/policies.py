"""The present policies and active versions of what is served, read again by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from panopticon.cards.cards import ModelCard
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Store
from panopticon.registry.records import ModelEntry
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.sqlite.database import SCHEME, path_of
from storage.stores import open_store
from workers.registry.answers import own_policy
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy
from workers.registry.register import refuse_other_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    policies: Mapping[VersionName, ResolvedPolicy] = field(default_factory=dict)
    faults: Mapping[VersionName, UsageError] = field(default_factory=dict)
    """The reasons for which a version has no policy here; the others have theirs."""
    active: Mapping[str, VersionName] = field(default_factory=dict)
    read_s: float = 0.0


class Policies:
    """The policy of each served version: the registry's, or its card's own while it is not registered.

    As in a worker, a policy that may have been replaced is used for less than `registry_max_age_s`.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._cards: tuple[ModelCard, ...] = ()
        self._snapshot = _Snapshot()
        self._had_registry = False
        self._closing = False
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="policies", daemon=True)

    def read(self, cards: Sequence[ModelCard]) -> None:
        """Read the policies of these versions, and of these only, from now on. It may block.

        Raises: UsageError if a version is registered with another digest or its policy is not valid;
        Unavailable.
        """
        snapshot = self._sound(cards)
        self._cards, self._snapshot = tuple(cards), snapshot

    def check(self, card: ModelCard) -> None:
        """Raise what `read` would raise for this version. It may block."""
        self._sound([card])

    def _sound(self, cards: Sequence[ModelCard]) -> _Snapshot:
        snapshot = self._read(cards)
        for fault in snapshot.faults.values():
            raise fault
        return snapshot

    def watch(self, cards: Sequence[ModelCard]) -> None:
        """Read the policies of these versions, and of these only, from the next reading on."""
        self._cards = tuple(cards)
        self._soon.set()

    def start(self) -> None:
        """Start the thread that reads them again every `registry_every_s`."""
        self._thread.start()

    def close(self) -> None:
        """End the thread. It may block for as long as one reading takes."""
        self._closing = True
        self._soon.set()
        if self._thread.is_alive():
            self._thread.join()

    def of(self, version: VersionName) -> ResolvedPolicy:
        """Return the present policy of a version.

        Raises: Unavailable if it could not be read for too long, or if this version cannot have one.
        """
        snapshot = self._snapshot
        if fault := snapshot.faults.get(version):
            raise Unavailable("model", str(fault))
        if self._clock() - snapshot.read_s > self._settings.registry_max_age_s:
            raise Unavailable("store", "the registry could not be read for too long")
        policy = snapshot.policies.get(version)
        if policy is None:
            raise Unavailable("store", f"the policy of {version} has not been read yet")
        return policy

    def number(self, version: VersionName) -> int | None:
        """Return the number of the policy that was read last; None before the first reading."""
        policy = self._snapshot.policies.get(version)
        return policy.policy_number if policy else None

    def active(self, model: str) -> VersionName | None:
        """Return the active version of a model; None if there is none, or if it is not registered."""
        return self._snapshot.active.get(model)

    @property
    def _has_registry(self) -> bool:
        """A service without workers starts on a host that has no database, and creates none."""
        url = self._settings.store_url
        return not url.startswith(SCHEME) or path_of(url).exists()

    def _run(self) -> None:
        while not self._closing:
            self._soon.wait(self._settings.registry_every_s)
            self._soon.clear()
            try:
                snapshot = self._read(self._cards)
            except (Unavailable, UsageError) as error:
                # The last policies are used for a while; then requests are refused with this component.
                log.warning("policies could not be read: %s", error)
                continue
            for version, fault in snapshot.faults.items():
                if str(fault) != str(self._snapshot.faults.get(version)):
                    log.error("%s; requests for %s are refused", fault, version)
            self._snapshot = snapshot

    def _read(self, cards: Sequence[ModelCard]) -> _Snapshot:
        """Return the policies of these versions. Raises: Unavailable, UsageError if none can be read."""
        if not self._has_registry:
            # Then its policies are those to use, and the cards' own ones might show what they hide.
            if self._had_registry:
                raise Unavailable("store", "its database is no longer there")
            return self._snapshot_of(cards, {}, store=None, read_s=self._clock())
        with closing(open_store(self._settings.store_url)) as store:
            # The age counts from before the read: a change made during it may be missing from the answer.
            read_s = self._clock()
            entries = {card.name: store.registry.read(card.name) for card in cards}
            self._had_registry = True
            return self._snapshot_of(cards, entries, store=store, read_s=read_s)

    def _snapshot_of(
        self,
        cards: Sequence[ModelCard],
        entries: Mapping[str, ModelEntry | None],
        *,
        store: Store | None,
        read_s: float,
    ) -> _Snapshot:
        policies: dict[VersionName, ResolvedPolicy] = {}
        faults: dict[VersionName, UsageError] = {}
        for card in cards:
            try:
                policies[card.version_name] = self._policy(card, entries.get(card.name), store)
            except UsageError as error:
                faults[card.version_name] = error
        active = {name: entry.active for name, entry in entries.items() if entry and entry.active}
        return _Snapshot(policies=policies, faults=faults, active=active, read_s=read_s)

    def _policy(self, card: ModelCard, model: ModelEntry | None, store: Store | None) -> ResolvedPolicy:
        """Raise UsageError if the version is registered with another digest or its policy is not valid."""
        version = model.version(card.version) if model else None
        if store is None or model is None or version is None:
            return own_policy(card)
        refuse_other_digest(card, version)
        known = self._resolved(card, policy_number=version.policy_number)
        return known or resolve_policy(model, version, store.archive)

    def _resolved(self, card: ModelCard, *, policy_number: int) -> ResolvedPolicy | None:
        """Return the policy of the last reading if it has this number: to make one costs milliseconds."""
        last = self._snapshot.policies.get(card.version_name)
        return last if last and last.policy_number == policy_number else None
