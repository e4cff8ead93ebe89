"""The Protocols through which the parts of Panopticon use each other.

Their methods take whole batches, and one bad item never fails the others.

Any method of a remote part (broker, store, search index, image source) may raise `Unavailable`. Nothing was
lost then, and the call may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from panopticon.errors import Unavailable
from panopticon.messages import ImageMessage, Lane
from panopticon.registry.heartbeats import Heartbeat
from panopticon.registry.records import ModelEntry
from panopticon.results.backfills import Backfill
from panopticon.results.documents import Change, SearchDocument
from panopticon.results.folder_entries import FolderEntry
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, Output, OutputKey, VersionName
from panopticon.results.search import Query, SearchPage
from panopticon.scheduling.items import Answer, Hello, Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as a queue delivered it to one consumer.

    The consumer holds a lease on the message: unless it is acked or renewed in time, it is delivered again.
    """

    tag: str
    """The identity of this delivery for its queue; worthless after the lease has lapsed."""
    body: bytes
    lane: Lane
    attempt: int
    """Attempts spent so far by `Queue.retry`, starting at 0; never the broker's own count."""
    redelivered: bool
    """True if the message was delivered before, so that its output may be stored already."""
    routing_key: str = ""
    """The key by which a broker chose the queue, such as `image.deleted`; empty where there are no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """The number of messages in one lane of a queue."""

    ready: int
    """Messages that any consumer may receive now."""
    leased: int
    """Messages that were received and are not settled yet."""
    retrying: int
    """Messages that wait until their retry delay is over."""
    leased_until_ms: int = 0
    """The end of the last lease unless it is renewed, in ms since 1970, UTC; 0 if leases have no end."""

    @property
    def total(self) -> int:
        """All messages of the lane."""
        return self.ready + self.leased + self.retrying


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedMessage:
    """A message that waits until its retry delay is over."""

    body: bytes
    due_at_ms: int
    """The end of the delay, in ms since 1970, UTC."""


class Queue(Protocol):
    """The live and the backfill lane of one consumer.

    Within a lane the first message in is the first out, except for retried ones. A delivery is settled by
    `ack`, `retry` or `requeue` of the same object that delivered it. Settling or renewing a lapsed lease
    changes nothing.
    """

    def submit(self, bodies: Sequence[bytes], lane: Lane) -> None:
        """Add messages; they are stored safely when this returns."""

    def receive(self, *, max_live: int, max_backfill: int, wait_s: float) -> list[Delivery]:
        """Lease up to `max_live` and `max_backfill` messages, live ones first.

        Returns an empty list if no message came within `wait_s` seconds.
        """

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove messages for good."""

    def retry(self, delivery: Delivery, *, delay_s: float, spend_attempt: bool = True) -> None:
        """Deliver the message again after `delay_s` seconds, with `attempt` one higher if one is spent."""

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Make messages ready for any consumer at once. No attempt is spent."""

    def release_prefetched(self) -> None:
        """Make ready for any consumer what the broker sent ahead and `receive` has not returned yet.

        Leased messages stay leased. Nothing more is sent ahead until the next `receive`.
        """

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        """Start leases again, so that each lasts its full time from now on."""

    def depth(self) -> Mapping[Lane, Depth]:
        """Count the messages of both lanes."""

    def delayed(self, *, limit: int) -> list[DelayedMessage]:
        """Return up to `limit` messages of both lanes that wait out a retry delay, the next one due first.

        Always empty with a broker that cannot list them; `depth` counts them there too.
        """


class Topology(Protocol):
    """The model queues that exist, and those that uploads reach."""

    def bind(self, version: VersionName) -> None:
        """Let uploads reach the queue of this version from now on. Repeating is harmless."""

    def unbind(self, version: VersionName) -> None:
        """Keep uploads from the queue of this version from now on; its messages stay."""

    def drop_if_empty(self, version: VersionName, *, idle_s: float = 0.0) -> bool:
        """Unbind the version and delete its queue, unless a message is in it. Return whether it is deleted.

        `idle_s`: the number of seconds in which no message of this version was retried, if the caller knows
        it. Messages with a shorter retry delay then belong to other versions.
        """

    def bound(self) -> tuple[VersionName, ...]:
        """Return the versions that uploads reach, sorted."""


class Uploads(Protocol):
    """The entrance for messages about images.

    Every message reaches the catalogue queue. Unless it is a delete, it also reaches the queue of every
    bound version.
    """

    def publish(self, messages: Sequence[ImageMessage], lane: Lane) -> None:
        """Put messages into all their queues; they are stored safely when this returns.

        If it raises, any message may be in any of its queues; repeating the call is harmless.
        """


class Broker(Protocol):
    """A connection to one broker, and the way to its queues.

    There is one object for each queue: `model_queue` called twice with equal versions returns the same
    object, and so do `results`, `catalogue` and `undeliverable`. So the part that receives a message and the
    part that settles it may each ask the broker for the queue.
    """

    @property
    def depth_lag_s(self) -> float:
        """The age in seconds that a count of `Queue.depth` may have; 0 if counts are always exact.

        A message that was submitted and received within this time may be missing from the count.
        """

    @property
    def topology(self) -> Topology: ...

    @property
    def uploads(self) -> Uploads: ...

    def model_queue(self, version: VersionName) -> Queue:
        """Return the queue of the images that one model version is to process."""

    def results(self) -> Queue:
        """Return the queue of the result messages that the indexer writes to the search index."""

    def catalogue(self) -> Queue:
        """Return the queue of the uploads and deletes that the indexer writes to the catalogue."""

    def undeliverable(self) -> Queue:
        """Return the queue of dead letters: messages that no consumer could take, in envelopes."""

    def announce(self, body: bytes) -> None:
        """Send every consumer of results a message that is not about an image; safe when this returns."""

    def publish_downstream(self, bodies: Sequence[bytes]) -> None:
        """Send the other consumers of results messages that come from the indexer; safe when this returns.

        The queue of `results` need not get them, and a broker without other consumers may drop them.
        """

    def close(self) -> None:
        """Close the connection. Leased messages are delivered again, at once or when their leases lapse."""


class OutputStore(Protocol):
    """The permanent store of outputs and failures, by image ID."""

    def put(self, outputs: Sequence[Output]) -> None:
        """Insert or replace outputs by their key; repeating is harmless.

        Of two outputs with one key, the one that was produced later stays.
        """

    def get(self, image_ids: Sequence[str], version: VersionName) -> dict[OutputKey, Output]:
        """Return every stored revision of these images for one version; unknown IDs are absent."""

    def versions_of(self, image_id: str) -> list[Output]:
        """Return all outputs of one image, by model, then the newest version and revision first."""

    def put_failures(self, failures: Sequence[Failure]) -> None:
        """Insert or replace failures by their key; repeating is harmless.

        Of two failures with one key, the one with the later `last_at_ms` stays; at the same time, the one
        whose state is further along retrying, dead, replayed, discarded.
        """

    def failures_of(self, image_ids: Sequence[str]) -> list[Failure]:
        """Return every failure of these images, in any state, ordered by key."""

    def failures(self, version: VersionName, *, day: str, state: FailureState) -> Iterator[Failure]:
        """Yield the failures of one version and one UTC day (`2026-11-21`), by `last_at_ms`, then by key.

        Those that are `retrying` are in no day.
        """

    def failure_days(self, version: VersionName) -> list[str]:
        """Return the UTC days on which this version has failures, newest first."""

    def discard_failures(self, keys: Sequence[OutputKey]) -> None:
        """Set the state of these failures to `discarded`; unknown keys and `retrying` ones change nothing."""

    def erase(self, image_ids: Sequence[str]) -> None:
        """Delete every output and failure of these images, of all models, for good.

        Unknown IDs change nothing. Outputs that are produced later may be put again.
        """


class Catalogue(Protocol):
    """The store of the newest known revision of every image."""

    def put(self, images: Sequence[CatalogueImage]) -> None:
        """Store images, after adding their IDs to the `ImageList` of the same store.

        Of two images with one ID, the one that `supersedes` the other stays, in any order.
        """

    def get(self, image_ids: Sequence[str]) -> dict[str, CatalogueImage]:
        """Return the images with these IDs; unknown IDs are absent."""


class ImageList(Protocol):
    """The IDs of all images in the catalogue, deleted ones included, which are read without scanning a table.

    `Catalogue.put` adds to it, so that no other code has to. An ID is never removed.
    """

    def image_ids(self, *, after: str = "", limit: int) -> list[str]:
        """Return up to `limit` IDs after `after`; fewer only at the end of the list.

        The order is the store's own and never changes, so the last ID of a page is where the next one begins.
        An ID that is added meanwhile may come before it.
        """

    def count(self) -> int:
        """Count the IDs. May take seconds, and its cost grows with the number of IDs."""

    def add(self, image_ids: Sequence[str]) -> None:
        """Add images whose catalogue rows a release without this list has stored. Repeating is harmless."""


class FolderList(Protocol):
    """The list of the photos in folders, by root and path. It is kept until the images are erased."""

    def add_roots(self, roots: Sequence[bytes]) -> None:
        """Add folders that were indexed, as real paths; repeating is harmless."""

    def roots(self) -> tuple[bytes, ...]:
        """Return all folders that were indexed, sorted."""

    def put(self, entries: Sequence[FolderEntry]) -> None:
        """Insert or replace entries by their key; repeating is harmless.

        Of two entries with one key, the one with the later `seen_at_ms` stays.
        """

    def get(self, places: Sequence[tuple[bytes, bytes]]) -> list[FolderEntry]:
        """Return the entries at each of these pairs of root and path, in any state, ordered by key."""

    def below(self, root: bytes, folder: bytes) -> Iterator[FolderEntry]:
        """Yield the entries of `root` whose paths are below `folder`, in any state and any order."""

    def erase(self, entries: Sequence[FolderEntry]) -> None:
        """Delete these entries, unless they were replaced by later ones; unknown ones change nothing."""


class LedgerCounts(Protocol):
    """The counting of images by state, in a store that can do it without scanning a cluster's tables."""

    def count(self, version: VersionName, *, retired: bool) -> Ledger:
        """Count all known images by their state for one version, which `ledger.state_of` defines."""

    def dead(self, version: VersionName) -> int:
        """Count the failures of one version that are dead, of images and of messages."""


class Registry(Protocol):
    """The store of every model's versions, and of the active one."""

    def read(self, model: str) -> ModelEntry | None:
        """Return the entry of a model, or None for an unknown one."""

    def models(self) -> tuple[str, ...]:
        """Return the names of all models, sorted."""

    def swap(self, expected: ModelEntry | None, new: ModelEntry) -> bool:
        """Replace `expected` by `new` (compare and set). `expected` None: the model has no entry yet.

        Returns False, and changes nothing, if the stored entry is not `expected`.
        """


class Backfills(Protocol):
    """The store of the records of all backfills, finished ones included."""

    def read(self, name: str) -> Backfill | None:
        """Return the record of a backfill, or None for an unknown one."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all backfills, sorted."""

    def swap(self, expected: Backfill | None, new: Backfill) -> bool:
        """Replace `expected` by `new` (compare and set). `expected` None: there is no such record yet.

        Returns False, and changes nothing, if the stored record is not `expected`.
        """


class Heartbeats(Protocol):
    """The store of the latest heartbeat of every process. It forgets each after `ALIVE_S`."""

    def put(self, heartbeat: Heartbeat) -> None:
        """Replace the heartbeat of this host and process ID; the one that is put last stays."""

    def alive(self, *, now_ms: int) -> list[Heartbeat]:
        """Return the heartbeats of processes that run, by role, version, host and process ID.

        `now_ms`: milliseconds since 1970, UTC, by the caller's clock.
        """


class Archive(Protocol):
    """The store of cards and reports, each under the SHA-256 of its bytes. Entries never change."""

    def put(self, body: bytes) -> str:
        """Store `body` and return its SHA-256 in hexadecimal; repeating is harmless."""

    def get(self, sha256: str) -> bytes | None:
        """Return the bytes with this SHA-256, or None if they are unknown."""


class Store(Protocol):
    """A connection to one permanent store, and the parts that it consists of."""

    @property
    def outputs(self) -> OutputStore: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def images(self) -> ImageList: ...

    @property
    def folders(self) -> FolderList: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def backfills(self) -> Backfills: ...

    @property
    def archive(self) -> Archive: ...

    @property
    def heartbeats(self) -> Heartbeats: ...

    @property
    def counts(self) -> LedgerCounts | None:
        """None where counting would scan the tables of a cluster."""

    def close(self) -> None:
        """Close the connection; the next use opens another."""


class Applied(StrEnum):
    """The result of one change to the search index."""

    APPLIED = "applied"
    STALE = "stale"
    """The document knew this, or something newer, already."""
    REFUSED = "refused"
    """The index cannot store the change, and never will."""


class SearchIndex(Protocol):
    """The search documents, which change only by the merge rule `documents.merge`.

    Only `create` and a rebuild create an index. While there is none, every other method but `exists` raises
    Unavailable with the command that rebuilds it: an index that was deleted must not look like an empty one.
    """

    def exists(self) -> bool:
        """Return whether changes can be applied: there is an index, or a rebuild is creating one.

        Raises: UsageError or Unavailable if it cannot be used.
        """

    def create(self) -> None:
        """Create an empty index, unless there is one already."""

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Merge changes into their documents, and return the result of each, in order.

        The changes can be found when this returns, or at most one second later.
        """

    def get(self, image_ids: Sequence[str]) -> dict[str, SearchDocument]:
        """Return the documents of these images, tombstones included; unknown IDs are absent."""

    def query(self, query: Query) -> SearchPage:
        """Return one page of documents. Raises: UsageError for a cursor of another query."""

    def image_ids(
        self,
        *,
        after: str = "",
        limit: int,
        part: str = "",
        policy_below: int | None = None,
        tombstones: bool = False,
    ) -> list[str]:
        """Return up to `limit` image IDs after `after`, in the order of their UTF-8 bytes.

        Tombstones are left out unless `tombstones`. With `part`, only documents that have it are returned;
        with `policy_below` too, only those whose part has a lower policy number.
        """

    def count(self, parts: Sequence[str] = ()) -> int:
        """Count the documents, without tombstones, that have all of these parts.

        A part always belongs to the revision of its document.
        """

    def documents(self) -> int:
        """Count all documents, tombstones included."""


class SearchRebuild(Protocol):
    """A search index that is rebuilt while the present one answers queries. Live changes reach both."""

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Merge changes, as `SearchIndex.apply` does, into the index that is being rebuilt."""

    def finish(self, *, fewer: bool) -> str | None:
        """Let the new index answer queries from now on.

        Returns the name of the former index, or None if there was none, or the rebuild took place in it.

        Raises: UsageError if the new index has fewer documents than the present one, unless `fewer`.
        """


@runtime_checkable
class Rebuildable(Protocol):
    """A search index that can be rebuilt."""

    def rebuild(self) -> SearchRebuild:
        """Begin a rebuild, or continue one that was interrupted."""

    def has_rebuild(self) -> bool:
        """Return whether a rebuild can go on: one was begun, or the present index is rebuilt in place."""

    def drop_former(self) -> list[str]:
        """Delete the indexes that earlier rebuilds replaced, and return their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """The most that fetching one original may take."""

    max_bytes: int = 64 * 1024 * 1024
    timeout_s: float = 20.0


class ImageSource(Protocol):
    """A source of originals, by URI."""

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Return the encoded image.

        Raises: Rejected (too_many_bytes, not_a_file …), Transient, or Unavailable.
        """


class Engine(Protocol):
    """One model version in one library that can run it."""

    name: str
    """Name in the setting `engine`, such as `litert`."""
    libraries: str
    """Names and versions of the libraries that compute the outputs."""
    best_batch: int
    """The number of images in one batch for which the engine takes the least time for each image."""
    engine_per_thread: bool
    """True if one engine for each thread runs more images than one engine with all the threads."""

    def load(self) -> None:
        """Read the model, so that `run` may be called."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the outputs, shape (N, D), of images, shape (N, H, W, 3), in RGB from 0 to 255.

        There is one row for each image, in the same order. Several threads call this, never two at once.
        """


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
    """The result of one health check."""

    OK = "ok"
    WARN = "warn"
    """It works, and needs attention."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The report of one health check. It never holds a credential."""

    check: str
    """Name of the check, such as `store: schema`."""
    health: Health
    seen: str
    """The observation, such as `version 5`."""
    advice: str = ""
    """The action to take; empty if there is none."""
    last: bool = False
    """True if nothing more can be asked of this part: it is down, refuses access, or does not exist yet."""


@runtime_checkable
class Diagnosable(Protocol):
    """An adapter that can report the health of its system in detail."""

    def diagnose(self) -> list[Finding]:
        """Check the system without changing it. A system that is down is a finding, and not an error."""
