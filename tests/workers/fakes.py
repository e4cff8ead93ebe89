"""Wrappers around real parts that record their calls, and that are unavailable when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from panopticon.errors import Unavailable
from panopticon.interfaces import (
    Applied,
    Catalogue,
    DelayedMessage,
    Delivery,
    Depth,
    OutputStore,
    Queue,
    SearchIndex,
)
from panopticon.messages import Lane
from panopticon.results.documents import Change, SearchDocument
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, Output, OutputKey, VersionName
from panopticon.results.search import Query, SearchPage


@dataclass(kw_only=True)
class Journal:
    """The recorded calls, in order; the steps that fail; and what happens just before a step."""

    steps: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """The recorded calls that found their part unavailable, in order."""
    refused: set[str] = field(default_factory=set)
    """IDs of images of which search refuses every change."""
    down: set[str] = field(default_factory=set)
    """Steps such as `outputs.put`, or whole parts such as `outputs`, that are unavailable."""
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    """A function by step, such as `registry.swap`, that is called once, at the next such step."""

    def note(self, step: str) -> None:
        """Record a step. Raises: Unavailable if the step or its part is down."""
        if happens := self.before.pop(step, None):
            happens()
        part = step.partition(".")[0]
        if {step, part} & self.down:
            self.failed.append(step)
            raise Unavailable(part, "as the test demands")
        self.steps.append(step)


class QueueFake:
    """A Queue that records calls and passes them to another."""

    def __init__(self, inner: Queue, name: str, journal: Journal) -> None:
        self._inner = inner
        self._name = name
        self._journal = journal

    def submit(self, bodies: Sequence[bytes], lane: Lane) -> None:
        self._journal.note(f"{self._name}.submit")
        self._inner.submit(bodies, lane)

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        self._journal.note(f"{self._name}.receive")
        return self._inner.receive(max_live=max_live, max_backfill=max_backfill, wait_s=wait_s)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._journal.note(f"{self._name}.ack")
        self._inner.ack(deliveries)

    def retry(self, delivery: Delivery, *, delay_s: float, spend_attempt: bool = True) -> None:
        self._journal.note(f"{self._name}.retry")
        self._inner.retry(delivery, delay_s=delay_s, spend_attempt=spend_attempt)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        self._journal.note(f"{self._name}.requeue")
        self._inner.requeue(deliveries)

    def release_prefetched(self) -> None:
        self._journal.note(f"{self._name}.release_prefetched")
        self._inner.release_prefetched()

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        self._journal.note(f"{self._name}.renew")
        self._inner.renew(deliveries)

    def depth(self) -> Mapping[Lane, Depth]:
        return self._inner.depth()

    def delayed(self, *, limit: int) -> list[DelayedMessage]:
        return self._inner.delayed(limit=limit)


class OutputStoreFake:
    """An OutputStore that records calls and passes them to another."""

    def __init__(self, inner: OutputStore, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def put(self, outputs: Sequence[Output]) -> None:
        self._journal.note("outputs.put")
        self._inner.put(outputs)

    def get(self, image_ids: Sequence[str], version: VersionName) -> dict[OutputKey, Output]:
        self._journal.note("outputs.get")
        return self._inner.get(image_ids, version)

    def versions_of(self, image_id: str) -> list[Output]:
        return self._inner.versions_of(image_id)

    def put_failures(self, failures: Sequence[Failure]) -> None:
        self._journal.note("outputs.put_failures")
        self._inner.put_failures(failures)

    def failures_of(self, image_ids: Sequence[str]) -> list[Failure]:
        return self._inner.failures_of(image_ids)

    def failures(self, version: VersionName, *, day: str, state: FailureState) -> Iterator[Failure]:
        return self._inner.failures(version, day=day, state=state)

    def failure_days(self, version: VersionName) -> list[str]:
        return self._inner.failure_days(version)

    def discard_failures(self, keys: Sequence[OutputKey]) -> None:
        self._inner.discard_failures(keys)

    def erase(self, image_ids: Sequence[str]) -> None:
        self._journal.note("outputs.erase")
        self._inner.erase(image_ids)


class CatalogueFake:
    """A Catalogue that records calls and passes them to another."""

    def __init__(self, inner: Catalogue, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def put(self, images: Sequence[CatalogueImage]) -> None:
        self._journal.note("catalogue.put")
        self._inner.put(images)

    def get(self, image_ids: Sequence[str]) -> dict[str, CatalogueImage]:
        self._journal.note("catalogue.get")
        return self._inner.get(image_ids)


class SearchIndexFake:
    """A SearchIndex that records calls and passes them to another."""

    def __init__(self, inner: SearchIndex, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def exists(self) -> bool:
        self._journal.note("search.exists")
        return self._inner.exists()

    def create(self) -> None:
        self._journal.note("search.create")
        self._inner.create()

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        self._journal.note("search.apply")
        refused = self._journal.refused
        applied = iter(self._inner.apply([change for change in changes if change.image_id not in refused]))
        return [Applied.REFUSED if change.image_id in refused else next(applied) for change in changes]

    def get(self, image_ids: Sequence[str]) -> dict[str, SearchDocument]:
        self._journal.note("search.get")
        return self._inner.get(image_ids)

    def query(self, query: Query) -> SearchPage:
        return self._inner.query(query)

    def image_ids(
        self,
        *,
        after: str = "",
        limit: int,
        part: str = "",
        policy_below: int | None = None,
        tombstones: bool = False,
    ) -> list[str]:
        return self._inner.image_ids(
            after=after, limit=limit, part=part, policy_below=policy_below, tombstones=tombstones
        )

    def count(self, parts: Sequence[str] = ()) -> int:
        return self._inner.count(parts)

    def documents(self) -> int:
        return self._inner.documents()
