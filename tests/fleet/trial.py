"""Five hundred images through two workers and an indexer, while something breaks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from panopticon.messages import ImageMessage, Lane, encode
from panopticon.outputs import OutputKey, VersionName
from panopticon.settings import Settings
from storage.originals.files import uri_of
from storage.outputs import open_store
from storage.search import open_search
from tests.fleet.processes import VERSIONS, Fleet, fleet
from workers.indexing import Remaining, wait_until_done
from workers.queues import broker_of

Colour = tuple[int, int, int]

IMAGES = 500
PATIENCE_S = 150.0
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run; every part is asked through the Protocols."""

    settings: Settings
    colours: dict[str, Colour]
    fleet: Fleet

    @property
    def ids(self) -> list[str]:
        return list(self.colours)

    def under_way(self) -> None:
        """Waits until both models have stored some images, and not nearly all."""
        store = open_store(self.settings.store_url)
        wait_for(lambda: all(len(store.outputs.get(self.ids, v)) >= 10 for v in VERSIONS))
        store.close()

    def end(self) -> float:
        """Seconds until every queue is empty."""
        begun_s = time.monotonic()
        broker = broker_of(self.settings)
        wait_until_done(broker, VERSIONS, watch=give_up_after(PATIENCE_S), every_s=0.5)
        broker.close()
        return time.monotonic() - begun_s

    def check(self) -> None:
        """Stored = submitted, vectors right, no failure, no attempt spent, and search equals the store."""
        store, search = open_store(self.settings.store_url), open_search(self.settings.search_url)
        documents = search.get(self.ids)
        for version in VERSIONS:
            stored = store.outputs.get(self.ids, version)
            assert set(stored) == {_key(image_id, version) for image_id in self.ids}
            for key, output in stored.items():
                assert [round(float(value) * 255) for value in output.vector] == list(
                    self.colours[key.image_id]
                )
                scores = documents[key.image_id].parts[version.part].scores
                assert [scores[colour] for colour in COLOURS] == [float(value) for value in output.vector]
        assert store.outputs.failures_of(self.ids) == []
        store.close()


@contextmanager
def trial(settings: Settings, folder: Path) -> Iterator[Trial]:
    """The fleet runs, and five hundred images are submitted; it is drained at the end."""
    with fleet(settings, folder) as running:
        colours = {f"image-{n}": (n % 250, 7 * n % 256, 13 * n % 256) for n in range(IMAGES)}
        submit(settings, folder, colours)
        yield Trial(settings=settings, colours=colours, fleet=running)
        assert set(running.stop().values()) == {0}


def submit(settings: Settings, folder: Path, colours: Mapping[str, Colour]) -> None:
    """A picture of each colour, to uploads."""
    broker = broker_of(settings)
    bodies = [_message(folder, image_id, colour) for image_id, colour in colours.items()]
    broker.uploads.publish(bodies, Lane.LIVE)
    broker.close()


def wait_for(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline_s, f"still not so after {PATIENCE_S:g} s"
        time.sleep(0.1)


def give_up_after(patience_s: float) -> Callable[[Remaining], None]:
    """A watch that fails once so much time has passed."""
    deadline_s = time.monotonic() + patience_s

    def watch(left: Remaining) -> None:
        assert time.monotonic() < deadline_s, f"still not done: {left}"

    return watch


def _message(folder: Path, image_id: str, colour: Colour) -> bytes:
    path = folder / f"{image_id}.png"
    Image.new("RGB", (16, 16), colour).save(path)
    return encode(ImageMessage(image_id=image_id, image_uri=uri_of(os.fsencode(path))))


def _key(image_id: str, version: VersionName) -> OutputKey:
    return OutputKey(image_id=image_id, model=version.model, version=version.version, revision=0)
