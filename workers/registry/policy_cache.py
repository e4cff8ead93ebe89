"""Policies as the registry has them: read again every few seconds, and trusted for a limited time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from panopticon.cards.archived import ArchivedCard
from panopticon.cards.cards import CardError, LabelRow
from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Archive, Registry
from panopticon.messages import ResultPublished
from panopticon.policy.policy import PolicyError, PolicyEvaluator, read_policy
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.results.outputs import Output, VersionName
from panopticon.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPolicy:
    """A version's policy, ready to be applied to its vectors."""

    evaluator: PolicyEvaluator
    policy_number: int


@dataclass(slots=True, kw_only=True)
class _CachedEntry:
    """One model's record, with the times of the last successful and of the last attempted read."""

    entry: ModelEntry | None = None
    read_s: float = -math.inf
    tried_s: float = -math.inf


class PolicyCache:
    """The present policy of any version. Used by one thread.

    A policy that is no longer the present one is returned for less than `registry_max_age_s`: if the registry
    could not be read for that long, there is no policy at all, and results are not published. So a new policy
    is in force everywhere once that time is over.
    """

    def __init__(
        self,
        registry: Registry,
        archive: Archive,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._every_s = settings.registry_every_s
        self._max_age_s = settings.registry_max_age_s
        self._clock = clock
        self._models: dict[str, _CachedEntry] = {}
        self._policies: dict[VersionName, ResolvedPolicy] = {}

    def entry(self, version: VersionName) -> VersionEntry | None:
        """Return a version's entry; None if the registry does not know the version.

        Raises: Unavailable if the registry could not be read for too long.
        """
        model = self._model(version.model)
        return model.version(version.version) if model else None

    def of(self, version: VersionName) -> ResolvedPolicy | None:
        """Return a version's present policy; None if the registry does not know the version.

        Raises: as `entry`, and as `resolve_policy`.
        """
        model = self._model(version.model)
        entry = model.version(version.version) if model else None
        if model is None or entry is None:
            return None
        policy = self._policies.get(version)
        if policy is None or policy.policy_number != entry.policy_number:
            self._policies[version] = policy = resolve_policy(model, entry, self._archive)
        return policy

    def _model(self, model: str) -> ModelEntry | None:
        cached = self._models.setdefault(model, _CachedEntry())
        if self._clock() - cached.tried_s >= self._every_s:
            self._read_again(model, cached)
        if self._clock() - cached.read_s > self._max_age_s:
            raise Unavailable("store", f"the registry entry of {model} could not be read for too long")
        return cached.entry

    def _read_again(self, model: str, cached: _CachedEntry) -> None:
        # The age counts from before the read, since a change made during it may be missing from the answer.
        cached.tried_s = self._clock()
        try:
            entry = self._registry.read(model)
        except Unavailable:
            # Until then the old record is good enough; afterwards this error explains why it is too old.
            if self._clock() - cached.read_s > self._max_age_s:
                raise
        else:
            cached.entry, cached.read_s = entry, cached.tried_s


def result_message(
    output: Output, policy: ResolvedPolicy, *, occurred_at: datetime | None
) -> ResultPublished:
    """Return the message that publishes an output, made from its stored vector by this policy."""
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
    """Return the present policy of a version, ready to be applied to its vectors.

    Raises: CardError if the store has no card of the version; UsageError if this program cannot read the
    policy or it does not fit the version's labels; Unavailable.
    """
    labels = label_rows(model, entry, archive)
    try:
        evaluator = PolicyEvaluator(read_policy(entry.policy_toml), task=model.task, labels=labels)
    except PolicyError as error:
        version = f"{model.model}@{entry.version}"
        raise UsageError(
            f"{version} has a policy {entry.policy_number} that is not valid: {error.what}; give it "
            f"another: panopticon policy apply {version} FILE"
        ) from None
    return ResolvedPolicy(evaluator=evaluator, policy_number=entry.policy_number)


def label_rows(model: ModelEntry, entry: VersionEntry, archive: Archive) -> tuple[LabelRow, ...]:
    """Return the labels of a registered version with their broader terms, from its archived card.

    Raises: CardError if no card of it was archived; Unavailable.
    """
    archived = archive.get(entry.card_sha256)
    if archived is None:
        raise CardError(
            f"{model.model}@{entry.version}: the store has no card of it; start a worker of it once, which "
            "keeps it"
        )
    return ArchivedCard.parse(archived).labels
