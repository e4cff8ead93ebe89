"""The Protocols between the rooms. All are batch-shaped: one bad item never answers for the others.

Any method of a remote part may raise `Unavailable`; nothing was lost then, and the call may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from panopticon.errors import Unavailable
from panopticon.messages import Lane
from panopticon.registry.records import ModelEntry
from panopticon.results.backfills import Backfill
from panopticon.results.documents import Change, SearchDocument
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, Output, OutputKey, VersionName
from panopticon.results.search import Query, SearchPage
from panopticon.scheduling.items import Answer, Hello, Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One handing-over of one message. It is leased: unless acked or renewed in time, it comes again."""

    tag: str
    """Names this handing-over to its queue; worthless once the lease lapsed."""
    body: bytes
    lane: Lane
    attempt: int
    """Attempts spent so far, on retries; never the broker's own count."""
    redelivered: bool
    """Handed over before: its output may be stored already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Messages of one lane: waiting, leased, and waiting out a retry delay."""

    ready: int
    leased: int
    retrying: int

    @property
    def total(self) -> int:
        return self.ready + self.leased + self.retrying


class Queue(Protocol):
    """The live and the backfill queue of one consumer: first in, first out within a lane, but for retries."""

    def submit(self, bodies: Sequence[bytes], lane: Lane) -> None:
        """Add messages; they are safe when this returns."""

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        """Lease up to so many messages, live first; an empty list if none came within `wait_s`."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove them for good. Acking a lapsed lease changes nothing."""

    def retry(self, delivery: Delivery, *, delay_s: float, spend_attempt: bool = True) -> None:
        """The message comes again after `delay_s`, its `attempt` one higher if one is spent."""

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Make them ready for anyone at once. No attempt is spent."""

    def release_prefetched(self) -> None:
        """Make ready for anyone what was sent ahead and nobody has received; the next `receive` asks anew."""

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        """Start their leases anew. Renewing a lapsed lease changes nothing."""

    def depth(self) -> Mapping[Lane, Depth]:
        """Counts of both lanes."""


class Topology(Protocol):
    """Which queues exist, and what uploads are fanned out to."""

    def bind(self, version: VersionName) -> None:
        """From now on uploads reach this version's queue. Repeating is harmless."""

    def unbind(self, version: VersionName) -> None:
        """From now on uploads do not reach it; what waits there stays."""

    def drop_if_empty(self, version: VersionName, *, idle_s: float = 0.0) -> bool:
        """Delete the version's queue unless a message is in it; says whether it is gone.

        `idle_s`: for so long nobody has put a message of it on a retry delay, if the caller knows.
        """

    def bound(self) -> tuple[VersionName, ...]:
        """Sorted."""


class Uploads(Protocol):
    """Where upload services publish: every message reaches the catalogue queue, and the queue of every bound
    version unless it is a delete."""

    def publish(self, bodies: Sequence[bytes], lane: Lane) -> None:
        """Safe in every queue when this returns. If it raises, any may be in any; repeating is harmless."""


class Broker(Protocol):
    """One broker, by URL: its queues by name."""

    @property
    def depth_lag_s(self) -> float:
        """A `depth` may miss what came within so many seconds and was taken at once; 0: it misses nothing."""

    @property
    def topology(self) -> Topology: ...

    @property
    def uploads(self) -> Uploads: ...

    def model_queue(self, version: VersionName) -> Queue: ...

    def results(self) -> Queue: ...

    def catalogue(self) -> Queue: ...

    def undeliverable(self) -> Queue: ...

    def announce(self, body: bytes) -> None:
        """Tell everyone who takes results of a change that concerns no image; safe when this returns."""

    def close(self) -> None: ...


class OutputStore(Protocol):
    """Outputs and failures: permanent, by ID."""

    def put(self, outputs: Sequence[Output]) -> None:
        """Upsert on the key; repeating is harmless. Of two runs of one key the later produced stays."""

    def get(self, image_ids: Sequence[str], version: VersionName) -> dict[OutputKey, Output]:
        """Every stored revision; unknown IDs are absent."""

    def versions_of(self, image_id: str) -> list[Output]:
        """Every output of every model version of one image, newest version and revision first."""

    def put_failures(self, failures: Sequence[Failure]) -> None:
        """Upsert on the key; of two, the later `last_at_ms` stays (of equals, the further state)."""

    def failures_of(self, image_ids: Sequence[str]) -> list[Failure]:
        """Every failure, in any state, of these images, ordered by key."""

    def failures(self, version: VersionName, *, day: str, state: FailureState) -> Iterator[Failure]:
        """Failures of one version and one UTC day (`2026-11-21`), in order of last_at_ms then key."""

    def failure_days(self, version: VersionName) -> list[str]:
        """The UTC days on which this version has failures in any state, newest first."""

    def discard_failures(self, keys: Sequence[OutputKey]) -> None:
        """Set these failures to `discarded`; unknown keys change nothing."""

    def erase(self, image_ids: Sequence[str]) -> None:
        """Remove every output and failure of these images for good, of whatever model; unknown IDs change
        nothing. What is produced later may be put again."""


class Catalogue(Protocol):
    """The newest revision known of every image."""

    def put(self, images: Sequence[CatalogueImage]) -> None:
        """Of two rows the one stays that `supersedes` the other, in any order of arrival."""

    def get(self, image_ids: Sequence[str]) -> dict[str, CatalogueImage]:
        """Unknown IDs are absent."""


class LedgerCounts(Protocol):
    """Offered by stores that can count without scanning a fleet's tables."""

    def count(self, version: VersionName, *, retired: bool) -> Ledger:
        """The state of every image known, folded as `ledger.state_of` says."""


class Registry(Protocol):
    """Every model's versions, and the one that is active."""

    def read(self, model: str) -> ModelEntry | None:
        """None for an unknown model."""

    def models(self) -> tuple[str, ...]:
        """Names, sorted."""

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        """Compare and set: replaces `expected` (None: absent) by `new`, or changes nothing and says False."""


class Backfills(Protocol):
    """The record of every backfill there was."""

    def read(self, name: str) -> Backfill | None:
        """None for an unknown one."""

    def names(self) -> tuple[str, ...]:
        """Sorted."""

    def swap(self, expected: Backfill | None, new: Backfill) -> bool:
        """Compare and set: replaces `expected` (None: absent) by `new`, or changes nothing and says False."""


class Archive(Protocol):
    """Cards and reports, each under the SHA-256 of its bytes: what is there stays as it is."""

    def put(self, body: bytes) -> str:
        """Says the SHA-256, as hex; repeating is harmless."""

    def get(self, sha256: str) -> bytes | None:
        """None for an unknown one."""


class Store(Protocol):
    """One permanent store, by URL: its rooms."""

    @property
    def outputs(self) -> OutputStore: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def backfills(self) -> Backfills: ...

    @property
    def archive(self) -> Archive: ...

    @property
    def counts(self) -> LedgerCounts | None:
        """None where counting would scan."""

    def close(self) -> None: ...


class Applied(StrEnum):
    """What became of one change."""

    APPLIED = "applied"
    STALE = "stale"
    REFUSED = "refused"


class SearchIndex(Protocol):
    """Search documents, changed by the one merge rule only."""

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """One answer per change, in order. Searchable when it returns, or within a second."""

    def get(self, image_ids: Sequence[str]) -> dict[str, SearchDocument]:
        """Tombstones included; unknown IDs are absent."""

    def query(self, query: Query) -> SearchPage:
        """Raises: UsageError for a cursor that is not one of this query's."""

    def image_ids(
        self, *, after: str = "", limit: int, part: str = "", policy_below: int | None = None
    ) -> list[str]:
        """IDs of up to `limit` documents that are no tombstones, in the order of their UTF-8 bytes, beyond
        `after`. With `part`, of those that have it; with `policy_below`, where its policy number is lower."""

    def count(self, parts: Sequence[str] = ()) -> int:
        """Documents that are no tombstones and have every one of these parts. A part is always of its
        document's revision."""


class SearchRebuild(Protocol):
    """An index being made anew while the present one answers. Live changes reach both."""

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """As `SearchIndex.apply`, on what is being made."""

    def finish(self, *, fewer: bool) -> str | None:
        """What was made answers from now on; the name of what answered before, None if it was made in place.

        Raises: UsageError, unless `fewer`, if it holds fewer documents than what answers now.
        """


@runtime_checkable
class Rebuildable(Protocol):
    """Offered by search indexes that can be made anew."""

    def rebuild(self) -> SearchRebuild:
        """Begin, or go on with what was interrupted."""

    def drop_former(self) -> list[str]:
        """Delete what answered before earlier rebuilds; says its names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """What a source may cost."""

    max_bytes: int = 64 * 1024 * 1024
    timeout_s: float = 20.0


class ImageSource(Protocol):
    """Originals, by URI."""

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Raises: Rejected (too_many_bytes, not_a_file …), Transient, or Unavailable."""


class Engine(Protocol):
    """One loaded model version."""

    name: str
    libraries: str
    best_batch: int
    engine_per_thread: bool
    """Whether one engine for each thread runs more images than one engine with all the threads."""

    def load(self) -> None:
        """Read the model; `run` may be called after it."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB, 0 to 255 → (N, D), one row an image, in order."""


class ModelRunner(Protocol):
    """One model version that runs images as they are added, and answers in any order. Used by one thread."""

    @property
    def hello(self) -> Hello | None:
        """None while no model is ready: it is being started, or started again."""

    @property
    def down(self) -> Unavailable | None:
        """The reason why the model cannot run anything at present; None while it can."""

    @property
    def best_batch(self) -> int:
        """Images that it runs best at once; 0 before the first hello."""

    @property
    def credit(self) -> int:
        """Images without an answer that it should be given at most; 0 before the first hello."""

    def add(self, lane: Lane, *, uri: str = "", encoded: bytes | None = None) -> Item:
        """Accept one image to run: `encoded`, or the original at `uri`. Its answer comes from `poll`.

        Raises: Rejected (too_many_bytes) if `encoded` is larger than the runner can take.
        """

    def poll(self, *, wait_s: float) -> list[Answer]:
        """Return new answers, waiting up to `wait_s` for the first. Each item is answered at most once."""

    def release(self) -> list[Item]:
        """Drop every item that has no answer yet, and return them: `poll` will not answer them."""

    def close(self) -> None:
        """End the model."""


class Health(StrEnum):
    """How one thing was found."""

    OK = "ok"
    WARN = "warn"
    """It works, and needs a look."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. Holds no credential."""

    check: str
    """What was looked at, such as `store: schema`."""
    health: Health
    seen: str
    advice: str = ""
    """What to do; empty if nothing is."""
    last: bool = False
    """Nothing more can be asked of this part: it is down, refuses, or is not made yet."""


@runtime_checkable
class Diagnosable(Protocol):
    """Offered by adapters that can say more of their system than whether it answers."""

    def diagnose(self) -> list[Finding]:
        """Looks and changes nothing. A system that is down, or refuses, is a finding and no error."""
