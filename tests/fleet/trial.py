"""Five hundred images through workers and an indexer, while a test breaks something."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

IMAGES = 500
PATIENCE_S = 150.0
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A running fleet, and the images that were submitted to it. Every part is read through its Protocol."""

    settings: Settings
    colours: dict[str, Colour]
    versions: Sequence[VersionName]
    fleet: Fleet

    @property
    def ids(self) -> list[str]:
        return list(self.colours)

    def wait_until_under_way(self) -> None:
        """Wait until every model has stored at least ten images."""
        wait_for(lambda: all(count >= 10 for count in self.stored().values()))

    def stored(self) -> dict[str, int]:
        """Return the number of stored images by version."""
        with house_of(self.settings) as house:
            return {str(v): len(house.store.outputs.get(self.ids, v)) for v in self.versions}

    def searchable(self) -> dict[str, int]:
        """Return the number of images in search by version."""
        with house_of(self.settings) as house:
            documents = house.search.get(self.ids).values()
        return {str(v): sum(v.part in document.parts for document in documents) for v in self.versions}

    def resumed_s(self, count: Callable[[], dict[str, int]] | None = None) -> float:
        """Return the seconds until every version that is not done has more images. `count`: the images to
        look at, by default those stored."""
        begun_s = time.monotonic()
        now = partial(eventually, count or self.stored)
        before = now()
        assert min(before.values()) < len(self.ids), "the fault came too late to hit anything"
        wait_for(lambda: all(many > before[v] or many == len(self.ids) for v, many in now().items()))
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
    images: int = IMAGES,
    keep: Keep | None = None,
) -> Iterator[Trial]:
    """Start a fleet, submit images, and stop the fleet in order at the end. `keep`: stores each picture, by
    default in `folder`.

    There are no retry delays, so that the first attempt that is spent leaves a dead image.
    """
    settings = settings.model_copy(update={"retry_delays_s": ()})
    with fleet(settings, folder, versions, replicas=replicas) as running:
        colours = {f"image-{n}": (n % 250, 7 * n % 256, 13 * n % 256) for n in range(images)}
        submit(settings, folder, colours, keep=keep)
        yield Trial(settings=settings, colours=colours, versions=versions, fleet=running)
        assert set(running.stop().values()) == {0}


def submit(
    settings: Settings, folder: Path, colours: Mapping[str, Colour], *, keep: Keep | None = None
) -> None:
    """Publish an upload of one picture for each colour."""
    keep = keep or partial(_keep, folder)
    uris = {image_id: keep(f"{image_id}.png", _picture(colour)) for image_id, colour in colours.items()}
    messages = [ImageMessage(image_id=image_id, image_uri=uri) for image_id, uri in uris.items()]
    with house_of(settings) as house:
        house.broker.uploads.publish(messages, Lane.LIVE)


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


def _keep(folder: Path, name: str, picture: bytes) -> str:
    (folder / name).write_bytes(picture)
    return uri_of(os.fsencode(folder / name))


def _key(image_id: str, version: VersionName) -> OutputKey:
    return OutputKey(image_id=image_id, model=version.model, version=version.version, revision=0)
