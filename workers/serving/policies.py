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
        self._closing = False
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="policies", daemon=True)

    def read(self, cards: Sequence[ModelCard]) -> None:
        """Read the policies of these versions, and of these only, from now on. It may block.

        Raises: UsageError if a version is registered with another digest or its policy is not valid;
        Unavailable.
        """
        self._cards = tuple(cards)
        if not self._has_registry:
            self._snapshot = self._from_cards()
            return
        with closing(open_store(self._settings.store_url)) as store:
            self._snapshot = self._from_registry(store)

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

        Raises: Unavailable if it could not be read for too long.
        """
        snapshot = self._snapshot
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
                self.read(self._cards)
            except (Unavailable, UsageError) as error:
                # The last policies are used for a while; then requests are refused with this component.
                log.warning("policies could not be read: %s", error)

    def _from_cards(self) -> _Snapshot:
        return _Snapshot(
            policies={card.version_name: own_policy(card) for card in self._cards}, read_s=self._clock()
        )

    def _from_registry(self, store: Store) -> _Snapshot:
        # The age counts from before the read, since a change made during it may be missing from the answer.
        read_s, policies, active = self._clock(), {}, {}
        entries = {card.name: store.registry.read(card.name) for card in self._cards}
        for card in self._cards:
            model = entries[card.name]
            version = model.version(card.version) if model else None
            if model is None or version is None:
                policies[card.version_name] = own_policy(card)
                continue
            refuse_other_digest(card, version)
            policies[card.version_name] = self._resolved(card, policy_number=version.policy_number) or (
                resolve_policy(model, version, store.archive)
            )
            if model.active is not None:
                active[card.name] = model.active
        return _Snapshot(policies=policies, active=active, read_s=read_s)

    def _resolved(self, card: ModelCard, *, policy_number: int) -> ResolvedPolicy | None:
        """Return the policy of the last reading if it has this number: to make one costs milliseconds."""
        last = self._snapshot.policies.get(card.version_name)
        return last if last and last.policy_number == policy_number else None
