"""A real worker, started as an operator starts it, on a database and a folder of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image

from panopticon.cards.cards import ModelCard, read_card
from panopticon.interfaces import Broker, Store
from panopticon.messages import ImageMessage, Lane
from panopticon.results.outputs import Failure, FailureState, Output
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests import program
from tests.house import House, house_of

MODELS = Path(__file__).parents[2] / "models"
PATIENCE_S = 60.0


@dataclass(kw_only=True)
class Pipeline:
    """One model version, its queue and store, and the processes that a test starts."""

    folder: Path
    card: ModelCard
    settings: Settings
    house: House
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.house.real.store

    @property
    def broker(self) -> Broker:
        return self.house.real.broker

    def picture(self, name: str, colour: tuple[int, int, int]) -> Path:
        path = self.folder / f"{name}.png"
        Image.new("RGB", (16, 16), colour).save(path)
        return path

    def submit(self, photos: dict[str, Path], lane: Lane = Lane.LIVE) -> None:
        """Publish photos, by image ID, to the queue of this version and to the catalogue."""
        messages = [
            ImageMessage(image_id=image_id, image_uri=uri_of(os.fsencode(path)))
            for image_id, path in photos.items()
        ]
        self.broker.uploads.publish(messages, lane)

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.start("worker", "--model", str(self.card.version_name), log="worker.log")

    def start(self, *words: str, log: str) -> subprocess.Popen[bytes]:
        """Start one command of the program, which is killed when the pipeline is closed."""
        process = program.start(*words, settings=self.settings, log=self.folder / log)
        self.processes.append(process)
        return process

    @property
    def log(self) -> str:
        return (self.folder / "worker.log").read_text()

    def waiting(self) -> int:
        """Return the number of messages of this version that are not acked, in any state."""
        depths = self.broker.model_queue(self.card.version_name).depth()
        return sum(depth.total for depth in depths.values())

    def wait_until_settled(self) -> None:
        self.wait_until(lambda: self.waiting() == 0)

    def wait_until(self, done: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline_s, f"still not so after {PATIENCE_S} s:\n{self.log}"
            time.sleep(0.01)

    def resumed_s(self, image_ids: list[str]) -> float:
        """Return the seconds until more of them are stored than at the call."""
        begun_s, before = time.monotonic(), len(self.stored(image_ids))
        assert before < len(image_ids), "the fault came too late to hit anything"
        self.wait_until(lambda: len(self.stored(image_ids)) > before)
        return time.monotonic() - begun_s

    def stored(self, image_ids: list[str]) -> dict[str, Output]:
        outputs = self.store.outputs.get(image_ids, self.card.version_name)
        return {key.image_id: output for key, output in outputs.items()}

    def dead(self, image_ids: list[str]) -> dict[str, Failure]:
        failures = self.store.outputs.failures_of(image_ids)
        return {f.key.image_id: f for f in failures if f.state is FailureState.DEAD}

    def index(self) -> None:
        """Run an indexer until its queues are empty."""
        self.house.index()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def model_process_of(worker: subprocess.Popen[bytes]) -> psutil.Process | None:
    """Return the child that holds the model; None while the worker has none."""
    try:
        children = psutil.Process(worker.pid).children()
    except psutil.NoSuchProcess:
        return None
    return children[0] if children else None


@contextmanager
def pipeline(folder: Path, model: str, **settings: object) -> Iterator[Pipeline]:
    """Yield a pipeline whose model is registered and bound, without images."""
    chosen = Settings.model_validate(
        {
            "database": f"sqlite:///{folder / 'test.db'}",
            "cache_dir": folder / "cache",
            "models_dir": MODELS,
            **settings,
        }
    )
    card = read_card(MODELS / model / "card.toml")
    with house_of(chosen) as house:
        house.register(card)
        running = Pipeline(folder=folder, card=card, settings=chosen, house=house)
        try:
            yield running
        finally:
            running.close()
