"""A folder of files with a house, and `panopticon index` in one process with a model that hashes pictures."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from panopticon.errors import PanopticonError, Rejected, Transient
from panopticon.interfaces import FetchLimits
from panopticon.messages import ImageMessage, Lane, decode_image_message
from panopticon.results.outputs import Failure, FailureState, OutputKey
from storage.originals.files import FileSource, path_of
from tests.contracts.examples import QUALITY
from tests.house import House, open_house
from workers.registry.policy_cache import result_message
from workers.submission.folder_record import complete
from workers.submission.index_plan import begin, make_plan, submit_missing
from workers.submission.listed_folders import ListedFolders
from workers.submission.submit import scan_paths


class Interrupted(PanopticonError):  # noqa: N818
    """The end of a run in the middle of it."""


@dataclass(slots=True)
class WritesFake:
    """Parts that pass calls on, until a number of writes is reached: that write is not carried out."""

    inner: Any
    left: list[int]

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        if name in ("put", "add_roots", "put_failures", "publish", "submit"):
            if self.left[0] == 0:
                raise Interrupted("interrupted")
            self.left[0] -= 1
        if name in ("outputs", "catalogue", "folders", "uploads"):
            return WritesFake(value, self.left)
        return value


@dataclass(slots=True, kw_only=True)
class FolderBench:
    """One folder of photos and its house. `inferred` counts the runs of the model, by image."""

    house: House
    photos: Path
    inferred: Counter[str] = field(default_factory=Counter)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file in place, or a new one, with a modification time that never changes."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))
        return path

    def index(
        self,
        *paths: str | Path,
        prune: bool = False,
        verify: bool = False,
        writes: int | None = None,
        work: bool = True,
    ) -> ListedFolders:
        """Do what `panopticon index` does; return the comparison.

        `writes`: the number of writes after which the run is interrupted. `work`: False leaves the messages
        in their queues.
        """
        self.house.clock.sleep(1.0)
        store, broker = self.house.real.store, self.house.real.broker
        if writes is not None:
            left = [writes]
            store, broker = WritesFake(store, left), WritesFake(broker, left)
        named = [str(path) for path in paths or (self.photos,)]
        submission = scan_paths(named, store, verify=verify)
        begin(
            submission,
            [QUALITY],
            store=store,
            broker=broker,
            deletions=submission.folders.gone if prune else (),
            submit=True,
            now_ms=self.house.now_ms(),
        )
        if work:
            self.work()
            submit_missing(make_plan(submission, [QUALITY], store), broker)
            self.work()
            complete(submission.folders, store, now_ms=self.house.now_ms())
        return submission.folders

    def work(self) -> None:
        """Do what worker and indexer do, until the queues are empty."""
        queue = self.house.real.broker.model_queue(QUALITY)
        while deliveries := queue.receive(max_live=100, max_backfill=100, wait_s=0):
            for delivery in deliveries:
                self._settle(decode_image_message(delivery.body), delivery.lane, delivery.body)
            queue.ack(deliveries)
        self.house.index()

    def in_search(self) -> dict[str, str]:
        """Return the SHA-256 of what search shows, by the path below the folder."""
        found = {}
        for image_id in self.house.real.search.image_ids(limit=10_000):
            row = self.house.row(image_id)
            key = QUALITY.key(image_id, self.house.document(image_id).revision)
            output = self.house.real.store.outputs.get([image_id], QUALITY)[key]
            found[self._name(path_of(row.image_uri))] = output.source_sha256
        return found

    def in_folder(self) -> dict[str, str]:
        """Return the SHA-256 of each file, by the path below the folder."""
        files = [path for path in self.photos.rglob("*") if path.is_file()]
        return {
            self._name(os.fsencode(path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }

    def id_of(self, name: str) -> str:
        """Return the ID of the photo that the catalogue knows at a path below the folder."""
        ids = self.house.real.search.image_ids(limit=10_000)
        return next(
            image_id for image_id in ids if self._name(path_of(self.house.row(image_id).image_uri)) == name
        )

    def _name(self, path: bytes) -> str:
        return os.path.relpath(os.fsdecode(path), self.photos)

    def _settle(self, message: ImageMessage, lane: Lane, body: bytes) -> None:
        store, key = self.house.real.store, QUALITY.key(message.image_id, message.revision)
        output = store.outputs.get([message.image_id], QUALITY).get(key)
        if output is None or lane is Lane.LIVE:
            self.inferred[message.image_id] += 1
            try:
                content = FileSource().fetch(message.image_uri or "", FetchLimits())
                if content.startswith(b"broken"):
                    raise Rejected("truncated")
            except (Rejected, Transient) as error:
                store.outputs.put_failures([self.failure(key, error, body)])
                return
            made = self.house.output(message.image_id, QUALITY, {}, revision=message.revision)
            output = replace(made, source_sha256=hashlib.sha256(content).hexdigest())
            store.outputs.put([output])
        policy = self.house.policy(QUALITY)
        self.house.publish(result_message(output, policy, occurred_at=message.occurred_at))

    def failure(self, key: OutputKey, error: Rejected | Transient, body: bytes) -> Failure:
        """Return the failure of an image that a worker could not read."""
        return Failure(
            key=key,
            state=FailureState.DEAD,
            reason=error.reason,
            detail="",
            attempts=0,
            last_at_ms=self.house.now_ms(),
            message=body,
        )


@contextmanager
def open_bench(folder: Path) -> Iterator[FolderBench]:
    """Yield a bench with an empty folder of photos."""
    photos = folder / "photos"
    photos.mkdir()
    with open_house(folder) as house:
        house.register(QUALITY)
        yield FolderBench(house=house, photos=photos)
