"""Images through workers and an indexer, more of them as they are done, while a test breaks something."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image

from panopticon.messages import ImageMessage, Lane
from panopticon.results.outputs import OutputKey, VersionName
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.fleet.processes import VERSIONS, Fleet, fleet
from tests.house import house_of
from tests.storage.search.opensearch.places import eventually
from workers.submission.index_plan import Remaining, wait_until_done

Colour = tuple[int, int, int]
Keep = Callable[[str, bytes], str]
"""Store a picture under a name; return its URI."""

_, SLOW = VERSIONS
PORTION = 300
"""The images that are published at the beginning, and whenever fewer than a third of them are left."""
FURTHER = 20
"""The images that are published after a fault."""
PATIENCE_S = 150.0
COLOURS = ("red", "green", "blue")


@dataclass(slots=True, kw_only=True)
class Trial:
    """A running fleet, and the images that were submitted to it. Every part is read through its Protocol.

    A machine may finish any number of images before a fault: so more are published until enough are left,
    and again after the fault.
    """

    settings: Settings
    versions: Sequence[VersionName]
    fleet: Fleet
    portion: int
    keep: Keep
    colours: dict[str, Colour] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return list(self.colours)

    def publish(self, count: int) -> None:
        """Publish this number of new images, each of a colour of its own."""
        known = len(self.colours)
        new = {f"image-{n}": (n % 250, 7 * n % 256, 13 * n % 256) for n in range(known, known + count)}
        # A broker that was down may need a moment more; to publish an image twice is harmless.
        eventually(partial(submit, self.settings, new, keep=self.keep))
        self.colours |= new

    def is_under_way(self) -> bool:
        """Return whether a third of a portion is left to do for a version; publish another portion if not."""
        # Only the latest are read: reading all of many portions takes longer than processing one.
        latest = self.ids[-self.portion :]
        if len(latest) - min(self.stored(latest).values()) >= self.portion // 3:
            return True
        self.publish(self.portion)
        return False

    def wait_until_under_way(self) -> None:
        """Wait until every model has stored at least ten images, and has many left."""
        wait_for(lambda: min(self.stored().values()) >= 10)
        wait_for(self.is_under_way)

    @contextmanager
    def work_in_progress(self) -> Iterator[None]:
        """Keep images in the slow worker until the block ends, so that a fault within it meets some."""
        with self.fleet.silent_model():
            self.publish(FURTHER)
            with house_of(self.settings) as house:
                queue = house.real.broker.model_queue(SLOW)
                wait_for(lambda: any(depth.leased for depth in queue.depth().values()))
            yield

    def wait_until_parked(self, name: str, part: str, *, publishing: bool = False) -> None:
        """Wait until a process is parked since this part is unavailable, and has tried it again in vain.

        `publishing`: publish more images meanwhile: a part that ends in order may serve all others first.
        """

        def is_parked() -> bool:
            parked = f"parked: {part} unavailable" in self.fleet.log(name).rpartition("resumed: ")[2]
            if publishing and not parked:
                self.publish(FURTHER)
            return parked

        wait_for(is_parked)
        time.sleep(2 * self.settings.park_max_s)

    def stored(self, ids: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of stored images by version. `ids`: the images to look at, by default all."""
        wanted = self.ids if ids is None else ids
        with house_of(self.settings) as house:
            return {str(v): len(house.store.outputs.get(wanted, v)) for v in self.versions}

    def searchable(self) -> dict[str, int]:
        """Return the number of images in search by version."""
        with house_of(self.settings) as house:
            documents = house.search.get(self.ids).values()
        return {str(v): sum(v.part in document.parts for document in documents) for v in self.versions}

    def resumed_s(self, count: Callable[[], dict[str, int]] | None = None) -> float:
        """Publish some more images; return the seconds until every version has more than before. `count`:
        the images to look at, by default those stored."""
        begun_s = time.monotonic()
        now = partial(eventually, count or self.stored)
        before = now()
        self.publish(FURTHER)
        wait_for(lambda: all(many > before[v] for v, many in now().items()))
        return time.monotonic() - begun_s

    def end(self) -> float:
        """Return the seconds until every queue is empty."""
        begun_s = time.monotonic()
        wait_until_empty(self.settings, self.versions)
        return time.monotonic() - begun_s

    def check(self) -> None:
        """Check that each image is stored with its vector and no failure, and that search has the same."""
        with house_of(self.settings) as house:
            documents = house.search.get(self.ids)
            stored = {version: house.store.outputs.get(self.ids, version) for version in self.versions}
            assert house.store.outputs.failures_of(self.ids) == []
        for version, outputs in stored.items():
            assert set(outputs) == {_key(image_id, version) for image_id in self.ids}
            for key, output in outputs.items():
                assert [round(float(value) * 255) for value in output.vector] == list(
                    self.colours[key.image_id]
                )
                scores = documents[key.image_id].parts[version.part].scores
                assert [scores[colour] for colour in COLOURS] == [float(value) for value in output.vector]


@contextmanager
def trial(
    settings: Settings,
    folder: Path,
    *,
    versions: Sequence[VersionName] = VERSIONS,
    replicas: int = 1,
    portion: int = PORTION,
    keep: Keep | None = None,
) -> Iterator[Trial]:
    """Start a fleet, submit a portion of images, and stop the fleet in order at the end. `keep`: stores each
    picture, by default in `folder`.

    There are no retry delays, so that the first attempt that is spent leaves a dead image.
    """
    settings = settings.model_copy(update={"retry_delays_s": ()})
    with fleet(settings, folder, versions, replicas=replicas) as running:
        run = Trial(
            settings=settings,
            versions=versions,
            fleet=running,
            portion=portion,
            keep=keep or keep_in(folder),
        )
        run.publish(portion)
        yield run
        assert set(running.stop().values()) == {0}


def submit(settings: Settings, colours: Mapping[str, Colour], *, keep: Keep) -> None:
    """Publish an upload of one picture for each colour."""
    uris = {image_id: keep(f"{image_id}.png", _picture(colour)) for image_id, colour in colours.items()}
    messages = [ImageMessage(image_id=image_id, image_uri=uri) for image_id, uri in uris.items()]
    with house_of(settings) as house:
        house.broker.uploads.publish(messages, Lane.LIVE)


def keep_in(folder: Path) -> Keep:
    """Return a function that stores a picture as a file in this folder."""

    def keep(name: str, picture: bytes) -> str:
        (folder / name).write_bytes(picture)
        return uri_of(os.fsencode(folder / name))

    return keep


def wait_until_empty(
    settings: Settings, versions: Sequence[VersionName] = VERSIONS, *, patience_s: float = PATIENCE_S
) -> None:
    """Wait until every queue is empty, those of these versions and those of the indexer."""
    with house_of(settings) as house:
        wait_until_done(house.broker, versions, watch=give_up_after(patience_s), every_s=0.3)


def wait_for(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline_s, f"not done after {PATIENCE_S:g} s"
        time.sleep(0.1)


def give_up_after(patience_s: float) -> Callable[[Remaining], None]:
    """Return a watch that fails once this time has passed."""
    deadline_s = time.monotonic() + patience_s

    def watch(left: Remaining) -> None:
        assert time.monotonic() < deadline_s, f"still not done: {left}"

    return watch


def _picture(colour: Colour) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(encoded, "png")
    return encoded.getvalue()


def _key(image_id: str, version: VersionName) -> OutputKey:
    return OutputKey(image_id=image_id, model=version.model, version=version.version, revision=0)
