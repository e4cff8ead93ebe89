"""What the registry says now: read again every few seconds, and trusted no longer than that is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from panopticon.cards.archived import ArchivedCard
from panopticon.cards.cards import CardError, LabelRow
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Archive, Store
from panopticon.messages import ResultPublished
from panopticon.policy.policy import PolicyError, PolicyEvaluator, read_policy
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.results.outputs import Output, VersionName
from panopticon.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPolicy:
    """By which policy results are made."""

    evaluator: PolicyEvaluator
    policy_number: int


@dataclass(slots=True, kw_only=True)
class _Known:
    """One model's record, when it was last read, and when that was last tried."""

    entry: ModelEntry | None = None
    read_s: float = -math.inf
    tried_s: float = -math.inf


class PolicyCache:
    """The present policy of any version. Used by one thread.

    Whoever holds an old policy does so for less than `registry_max_age_s`: after that there is no policy at
    all, and whoever publishes parks. So a new policy is known everywhere once that time is over.
    """

    def __init__(
        self, store: Store, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._every_s = settings.registry_every_s
        self._max_age_s = settings.registry_max_age_s
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._policies: dict[VersionName, ResolvedPolicy] = {}

    def entry(self, version: VersionName) -> VersionEntry | None:
        """None if the registry does not know it. Raises: Unavailable if it cannot be asked for too long."""
        model = self._fresh(version.model)
        return model.version(version.version) if model else None

    def of(self, version: VersionName) -> ResolvedPolicy | None:
        """None if the registry does not know it. Raises: Unavailable; CardError."""
        model = self._fresh(version.model)
        entry = model.version(version.version) if model else None
        if model is None or entry is None:
            return None
        known = self._policies.get(version)
        if known is None or known.policy_number != entry.policy_number:
            self._policies[version] = known = resolve_policy(model, entry, self._store.archive)
        return known

    def _fresh(self, model: str) -> ModelEntry | None:
        known = self._known.setdefault(model, _Known())
        if self._clock() - known.tried_s >= self._every_s:
            self._renew(model, known)
        if self._clock() - known.read_s > self._max_age_s:
            raise Unavailable("store", f"the registry entry of {model} could not be read for too long")
        return known.entry

    def _renew(self, model: str, known: _Known) -> None:
        """What is changed after it was asked may be missing. Once it is too old, one hears why."""
        known.tried_s = self._clock()
        try:
            entry = self._store.registry.read(model)
        except Unavailable:
            if self._clock() - known.read_s > self._max_age_s:
                raise
        else:
            known.entry, known.read_s = entry, known.tried_s


def result_message(
    output: Output, policy: ResolvedPolicy, *, occurred_at: datetime | None
) -> ResultPublished:
    """What is published of an output, always made from the vector as stored."""
    evaluation = policy.evaluator.evaluate(output.vector)
    return ResultPublished(
        image_id=output.key.image_id,
        revision=output.key.revision,
        occurred_at=occurred_at,
        model=output.key.model,
        version=output.key.version,
        policy_number=policy.policy_number,
        tags=evaluation.tags,
        scores=dict(evaluation.scores),
    )


def resolve_policy(model: ModelEntry, entry: VersionEntry, archive: Archive) -> ResolvedPolicy:
    """The present policy of a version, ready for its vectors.

    Raises: CardError; UsageError if the policy is not one to this program; Unavailable.
    """
    labels = label_rows(model, entry, archive)
    try:
        evaluator = PolicyEvaluator(read_policy(entry.policy_toml), task=model.task, labels=labels)
    except PolicyError as error:
        version = f"{model.model}@{entry.version}"
        raise UsageError(
            f"{version} has a policy {entry.policy_number} that does not hold: {error.what}; give it "
            f"another: panopticon policy apply {version} FILE"
        ) from None
    return ResolvedPolicy(evaluator=evaluator, policy_number=entry.policy_number)


def label_rows(model: ModelEntry, entry: VersionEntry, archive: Archive) -> tuple[LabelRow, ...]:
    """The labels of a registered version with their broader terms, from the card that was kept of it.

    Raises: CardError if none was; Unavailable.
    """
    whole = archive.get(entry.card_sha256)
    if whole is None:
        raise CardError(
            f"{model.model}@{entry.version}: the store has no card of it; start a worker of it once, which "
            "keeps it"
        )
    return ArchivedCard.parse(whole).labels
