"""Every document by the present policy of a version, from stored vectors: by ID, and without a model.

The documents themselves say which of them are still to do, and there is no other record of the work. So
whoever begins again, after a kill too, goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from panopticon.chunks import chunks
from panopticon.interfaces import Broker, SearchIndex, Store
from panopticon.messages import Lane, encode, from_ms
from panopticon.results.documents import SearchDocument
from panopticon.results.failure_reasons import INDEX_REFUSED
from panopticon.results.outputs import FailureState, Output, OutputKey, VersionName
from panopticon.settings import Settings
from workers.registry.policies import changeable_version
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message

PAGE = 1_000
"""Results that wait in the queue at once, at most."""

SEARCHABLE_S = 1.0
"""After so long any search index finds what was applied."""

POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Republished:
    """What came of it."""

    policy_number: int
    images: int
    """Documents that were by an older policy."""
    left: tuple[str, ...]
    """Images whose documents still are: no output of them is stored, or search refused the result."""
    unknown: tuple[str, ...]
    """Of the images that were named: search has nothing of this version."""


class Republisher:
    """One version's documents, page by page, so that the queue of results stays short."""

    def __init__(
        self,
        version: VersionName,
        *,
        settings: Settings,
        store: Store,
        search: SearchIndex,
        broker: Broker,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        progress: Callable[[int], None] = lambda _: None,
        stalled: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`progress` hears how many more documents are done, `stalled` how many results nobody takes."""
        self._version = version
        self._settings = settings
        self._store = store
        self._search = search
        self._results = broker.results()
        self._clock = clock
        self._sleep = sleep
        self._progress = progress
        self._stalled = stalled

    @property
    def known_after_s(self) -> float:
        """After so long every worker and indexer knows the policy or is parked, and what it applied before
        can be found."""
        return self._settings.registry_max_age_s + SEARCHABLE_S

    def republish(self, image_ids: Sequence[str] | None = None) -> Republished:
        """All documents, or those of these images only, until none is left by an older policy.

        Raises: UsageError for an unknown or a retired version; CardError; Unavailable, and then the same
        call may be repeated.
        """
        self._sleep(self.known_after_s)
        policy = resolve_policy(*changeable_version(self._version, self._store), self._store.archive)
        tally = _Tally()
        while self._sweep(image_ids, policy, tally):
            pass
        return Republished(
            policy_number=policy.policy_number,
            images=tally.images,
            left=self._still_left(sorted(tally.left), policy),
            unknown=self._unknown(image_ids or ()),
        )

    def _sweep(self, image_ids: Sequence[str] | None, policy: ResolvedPolicy, tally: _Tally) -> bool:
        """Once over all that is by an older policy; says whether anything of it was published."""
        published = False
        for page in self._pages(image_ids, policy):
            old = self._old([image_id for image_id in page if image_id not in tally.left], policy)
            outputs = self._outputs_of(old)
            tally.left |= old.keys() - outputs.keys()
            if outputs:
                published = True
                self._publish(outputs, old, policy)
                waiting = self._wait_until_applied({i: old[i].revision for i in outputs}, policy)
                tally.images += len(outputs) - len(waiting)
                tally.left |= waiting
        return published

    def _pages(self, image_ids: Sequence[str] | None, policy: ResolvedPolicy) -> Iterator[list[str]]:
        if image_ids is not None:
            yield from chunks(image_ids, PAGE)
            return
        after = ""
        while page := self._search.image_ids(
            after=after, limit=PAGE, part=self._version.part, policy_below=policy.policy_number
        ):
            yield page
            after = page[-1]

    def _old(self, image_ids: Sequence[str], policy: ResolvedPolicy) -> dict[str, SearchDocument]:
        """Those of them whose document is by an older policy now."""
        documents = self._search.get(image_ids) if image_ids else {}
        return {
            image_id: document
            for image_id, document in documents.items()
            if (part := document.parts.get(self._version.part)) and part.policy_number < policy.policy_number
        }

    def _outputs_of(self, documents: Mapping[str, SearchDocument]) -> dict[str, Output]:
        """Of the documents' own revisions; an older one would change nothing, a newer one has its own way."""
        stored = self._store.outputs.get(list(documents), self._version) if documents else {}
        keys = {image_id: self._key(image_id, document.revision) for image_id, document in documents.items()}
        return {image_id: stored[key] for image_id, key in keys.items() if key in stored}

    def _publish(
        self, outputs: Mapping[str, Output], documents: Mapping[str, SearchDocument], policy: ResolvedPolicy
    ) -> None:
        bodies = [
            encode(result_message(output, policy, occurred_at=from_ms(documents[image_id].occurred_at_ms)))
            for image_id, output in outputs.items()
        ]
        self._results.submit(bodies, Lane.BACKFILL)

    def _wait_until_applied(self, revisions: Mapping[str, int], policy: ResolvedPolicy) -> set[str]:
        """Says which images' results were taken and changed nothing, if any were."""
        waiting, moved_s = set(revisions), self._clock()
        while waiting:
            old = self._old(sorted(waiting), policy)
            still = {image_id for image_id in old if old[image_id].revision == revisions[image_id]}
            if len(still) < len(waiting):
                self._progress(len(waiting) - len(still))
                waiting, moved_s = still, self._clock()
            elif self._clock() - moved_s >= self._settings.settle_s:
                if self._all_taken() or not waiting - self._refused(revisions):
                    break
                self._stalled(len(waiting))
                moved_s = self._clock()
            if waiting:
                self._sleep(POLL_S)
        return waiting

    def _all_taken(self) -> bool:
        return self._results.depth()[Lane.BACKFILL].total == 0

    def _refused(self, revisions: Mapping[str, int]) -> set[str]:
        keys = {self._key(image_id, revision) for image_id, revision in revisions.items()}
        failures = self._store.outputs.failures_of(list(revisions))
        return {
            failure.key.image_id
            for failure in failures
            if failure.key in keys and failure.reason == INDEX_REFUSED and failure.state is FailureState.DEAD
        }

    def _still_left(self, image_ids: Sequence[str], policy: ResolvedPolicy) -> tuple[str, ...]:
        """But for what was renewed by somebody else, and for deleted images, which leave search anyway."""
        return tuple(
            image_id
            for chunk in chunks(image_ids, PAGE)
            for image_id in self._not_deleted(list(self._old(chunk, policy)))
        )

    def _not_deleted(self, image_ids: Sequence[str]) -> list[str]:
        rows = self._store.catalogue.get(image_ids) if image_ids else {}
        return [image_id for image_id in image_ids if image_id not in rows or not rows[image_id].deleted]

    def _unknown(self, image_ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            image_id
            for chunk in chunks(image_ids, PAGE)
            for image_id in self._without_part(chunk, self._search.get(chunk))
        )

    def _without_part(self, image_ids: Sequence[str], documents: Mapping[str, SearchDocument]) -> list[str]:
        part = self._version.part
        return [i for i in image_ids if i not in documents or part not in documents[i].parts]

    def _key(self, image_id: str, revision: int) -> OutputKey:
        version = self._version
        return OutputKey(image_id=image_id, model=version.model, version=version.version, revision=revision)


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What came of the sweeps so far."""

    images: int = 0
    left: set[str] = field(default_factory=set)
