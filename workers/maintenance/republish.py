"""Republishing a version's documents by its present policy, from stored vectors: by ID, and without a model.

The documents themselves show which of them are still by an older policy, and there is no other record of the
work. So a second run continues an interrupted one, even if that was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from panopticon.chunks import chunks
from panopticon.interfaces import Queue, SearchIndex, Store
from panopticon.messages import Lane, encode, from_ms
from panopticon.results.documents import SearchDocument
from panopticon.results.failure_reasons import INDEX_REFUSED
from panopticon.results.outputs import FailureState, Output, VersionName
from panopticon.settings import Settings
from workers.registry.policies import changeable_version
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message
from workers.runtime.clock import Clock

PAGE = 1_000
"""The most results that wait in the queue at once."""

SEARCHABLE_S = 1.0
"""Time after which any search index finds a change that was applied."""

POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Republished:
    """The result of republishing a version's documents."""

    policy_number: int
    images: int
    """Documents that were by an older policy, and are by this one now."""
    left: tuple[str, ...]
    """IDs of images whose documents are still by an older policy: no output of them is stored, or search
    refused the result."""
    unknown: tuple[str, ...]
    """The named IDs under which search has no part of this version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Functions that are called while documents are republished."""

    done: Callable[[int], object] = lambda _: None
    """Called with the number of documents that were renewed since the last call."""
    stalled: Callable[[int], object] = lambda _: None
    """Called with the number of waiting results when none was taken for `settle_s`."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run of the republisher, and its results so far."""

    policy: ResolvedPolicy
    progress: Progress
    images: int = 0
    left: set[str] = field(default_factory=set)


class Republisher:
    """Republishes the documents of one version page by page, so that the queue of results stays short."""

    def __init__(
        self,
        version: VersionName,
        *,
        settings: Settings,
        store: Store,
        search: SearchIndex,
        results: Queue,
        clock: Clock = time,
    ) -> None:
        self._version = version
        self._settings = settings
        self._store = store
        self._search = search
        self._results = results
        self._clock = clock

    @property
    def known_after_s(self) -> float:
        """Seconds after which every worker and indexer knows a new policy or is parked, and search finds the
        results that they made by an older one."""
        return self._settings.registry_max_age_s + SEARCHABLE_S

    def republish(
        self, image_ids: Sequence[str] | None = None, *, progress: Progress | None = None
    ) -> Republished:
        """Republish all documents, or those of these images only, until none of them can be renewed any more.

        Raises: UsageError for an unknown or a retired version; CardError; Unavailable, and then the same
        call may be repeated.
        """
        self._clock.sleep(self.known_after_s)
        policy = resolve_policy(*changeable_version(self._version, self._store), self._store.archive)
        run = _Run(policy=policy, progress=progress or Progress())
        # Again until a sweep finds none: a slow worker may have published by the older policy meanwhile.
        while self._sweep(image_ids, run):
            pass
        return Republished(
            policy_number=policy.policy_number,
            images=run.images,
            left=self._still_left(sorted(run.left), policy),
            unknown=self._unknown(image_ids or ()),
        )

    def _sweep(self, image_ids: Sequence[str] | None, run: _Run) -> bool:
        """Go once through the documents by an older policy; return whether any was published."""
        published = False
        for page in self._pages(image_ids, run.policy):
            old = self._old([image_id for image_id in page if image_id not in run.left], run.policy)
            outputs = self._outputs_of(old)
            run.left |= old.keys() - outputs.keys()
            if outputs:
                published = True
                self._publish(outputs, old, run.policy)
                left = self._wait_until_applied({i: old[i].revision for i in outputs}, run)
                run.images += len(outputs) - len(left)
                run.left |= left
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
        """Return the documents of these images that are by an older policy now."""
        documents = self._search.get(image_ids) if image_ids else {}
        return {
            image_id: document
            for image_id, document in documents.items()
            if (part := document.parts.get(self._version.part)) and part.policy_number < policy.policy_number
        }

    def _outputs_of(self, documents: Mapping[str, SearchDocument]) -> dict[str, Output]:
        """Return the outputs of the documents' own revisions.

        An output of an older revision would change nothing, and the result of a newer one is on its way.
        """
        stored = self._store.outputs.get(list(documents), self._version) if documents else {}
        keys = {i: self._version.key(i, document.revision) for i, document in documents.items()}
        return {image_id: stored[key] for image_id, key in keys.items() if key in stored}

    def _publish(
        self, outputs: Mapping[str, Output], documents: Mapping[str, SearchDocument], policy: ResolvedPolicy
    ) -> None:
        bodies = [
            encode(result_message(output, policy, occurred_at=from_ms(documents[image_id].occurred_at_ms)))
            for image_id, output in outputs.items()
        ]
        self._results.submit(bodies, Lane.BACKFILL)

    def _wait_until_applied(self, revisions: Mapping[str, int], run: _Run) -> set[str]:
        """Wait for the indexer; return the images whose results it took without a change to the document."""
        waiting, moved_s = set(revisions), self._clock.monotonic()
        while waiting:
            old = self._old(sorted(waiting), run.policy)
            still = {image_id for image_id in old if old[image_id].revision == revisions[image_id]}
            if len(still) < len(waiting):
                run.progress.done(len(waiting) - len(still))
                waiting, moved_s = still, self._clock.monotonic()
            elif self._clock.monotonic() - moved_s >= self._settings.settle_s:
                # With an empty queue, or with refusals alone, waiting longer would change nothing.
                all_taken = self._results.depth()[Lane.BACKFILL].total == 0
                if all_taken or not waiting - self._refused(revisions):
                    break
                run.progress.stalled(len(waiting))
                moved_s = self._clock.monotonic()
            if waiting:
                self._clock.sleep(POLL_S)
        return waiting

    def _refused(self, revisions: Mapping[str, int]) -> set[str]:
        keys = {self._version.key(image_id, revision) for image_id, revision in revisions.items()}
        return {
            failure.key.image_id
            for failure in self._store.outputs.failures_of(list(revisions))
            if failure.key in keys and failure.reason == INDEX_REFUSED and failure.state is FailureState.DEAD
        }

    def _still_left(self, image_ids: Sequence[str], policy: ResolvedPolicy) -> tuple[str, ...]:
        """Return the images that are still by an older policy, but for deleted ones, which leave search."""
        left: list[str] = []
        for chunk in chunks(image_ids, PAGE):
            old = list(self._old(chunk, policy))
            rows = self._store.catalogue.get(old) if old else {}
            left += [image_id for image_id in old if image_id not in rows or not rows[image_id].deleted]
        return tuple(left)

    def _unknown(self, image_ids: Sequence[str]) -> tuple[str, ...]:
        part = self._version.part
        return tuple(
            image_id
            for chunk in chunks(image_ids, PAGE)
            for documents in [self._search.get(chunk)]
            for image_id in chunk
            if image_id not in documents or part not in documents[image_id].parts
        )
