"""The child that holds one model: fetch ▸ decode ▸ batch ▸ run. It retries nothing and writes to no store.

Started by `model_client` with a socket as descriptor `--fd`. Ends with its parent: end of file is the signal.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard, read_card
from panopticon.engines import open_engine
from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.images import decode
from panopticon.interfaces import Engine, ImageSource
from panopticon.messages import Lane
from panopticon.models.golden import self_test
from panopticon.scheduling.batching import LaneBuffer
from panopticon.scheduling.dispatch import Phase
from panopticon.settings import Settings, read_settings
from storage.originals import open_originals
from workers.model_process.frames import PROTOCOL, Frame, FrameStream, PeerGone
from workers.model_process.item_limits import ItemLimits

log = logging.getLogger(__name__)

ALIVE_EVERY_S = 1.0
FORMER_ATTRIBUTE = "one_a_thread"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One decoded image that waits for the model."""

    id: int
    pixels: NDArray[np.uint8]
    prepare_s: float
    source_sha256: str
    width_px: int
    height_px: int


class Usage:
    """CPU seconds by step, so that what is neither fetch, decode nor run can be told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cpu_s = {"fetch": 0.0, "decode": 0.0, "run": 0.0}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun_s = time.thread_time()
        try:
            yield
        finally:
            spent_s = time.thread_time() - begun_s
            with self._lock:
                self._cpu_s[name] += spent_s

    def read(self) -> dict[str, float]:
        with self._lock:
            return {**self._cpu_s, "process": time.process_time()}


class FrameWriter:
    """Sends frames from any thread. What is not urgent waits for company: each send wakes the parent."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._held: list[Frame] = []

    def send(self, *frames: Frame) -> None:
        with self._lock:
            held, self._held = self._held, []
            self._stream.send((*held, *frames))

    def started(self, ids: list[int], phase: Phase) -> None:
        """Only what may kill this process must be known before it begins."""
        frame = {"type": "started", "ids": ids, "phase": phase.value}
        if phase in (Phase.DECODE, Phase.RUN):
            self.send(frame)
            return
        with self._lock:
            self._held.append(frame)


class Pipeline:
    """Items on their way to the model: received, then prepared; live first in both waits."""

    def __init__(self) -> None:
        lock = threading.Lock()
        self._more_received = threading.Condition(lock)
        self._more_prepared = threading.Condition(lock)
        self._received: LaneBuffer[Frame] = LaneBuffer()
        self._prepared: LaneBuffer[Prepared] = LaneBuffer()

    def receive(self, items: list[Frame]) -> None:
        with self._more_received:
            for item in items:
                self._received.add(item, Lane(item["lane"]))
            self._more_received.notify(len(items))

    def next_received(self) -> Frame:
        """Waits for one."""
        with self._more_received:
            while not self._received:
                self._more_received.wait()
            return self._received.take(1)[0]

    def prepared(self, image: Prepared, lane: Lane) -> None:
        with self._more_prepared:
            self._prepared.add(image, lane)
            self._more_prepared.notify()

    def next_batch(self, max_images: int) -> list[Prepared]:
        """Whatever has gathered, at once; waits only while there is nothing."""
        with self._more_prepared:
            while not self._prepared:
                self._more_prepared.wait()
            return self._prepared.take(max_images)


class ModelProcess:
    """One model version at work."""

    def __init__(
        self,
        *,
        card: ModelCard,
        engines: Sequence[Engine],
        originals: ImageSource,
        writer: FrameWriter,
        limits: ItemLimits,
    ) -> None:
        """`engines`: alike, loaded, one for each thread that runs the model."""
        self._card = card
        self._engines = engines
        self._writer = writer
        self._limits = limits
        self._originals = originals
        self._pipeline = Pipeline()
        self._usage = Usage()

    def receive(self, frames: list[Frame]) -> None:
        items = [frame for frame in frames if frame["type"] == "item"]
        if items:
            self._pipeline.receive(items)

    def alive(self) -> None:
        self._writer.send({"type": "alive", "cpu_s": self._usage.read()})

    def prepare_forever(self) -> None:
        while True:
            item = self._pipeline.next_received()
            with self._answering(item["id"]):
                self._pipeline.prepared(self._prepare(item), Lane(item["lane"]))

    def _prepare(self, item: Frame) -> Prepared:
        id_, begun_s = item["id"], time.monotonic()
        self._writer.started([id_], Phase.FETCH)
        with self._usage.step("fetch"):
            encoded = self._originals.fetch(item["uri"], self._limits.fetch)
        self._writer.started([id_], Phase.DECODE)
        with self._usage.step("decode"):
            decoded = decode(
                encoded,
                input=self._card.input,
                preprocessing=self._card.preprocessing,
                limits=self._limits.decode,
            )
        self._writer.started([id_], Phase.READY)
        return Prepared(
            id=id_,
            pixels=decoded.pixels,
            prepare_s=time.monotonic() - begun_s,
            source_sha256=hashlib.sha256(encoded).hexdigest(),
            width_px=decoded.width_px,
            height_px=decoded.height_px,
        )

    @contextmanager
    def _answering(self, id_: int) -> Iterator[None]:
        """Turns this image's error into its answer."""
        try:
            yield
        except (Rejected, Transient, Unavailable) as error:
            kind = type(error).__name__.lower()
            self._writer.send({"type": kind, "id": id_, "reason": error.reason, **_detail(error)})

    def run_forever(self, engine: Engine) -> None:
        while True:
            self._run(engine, self._pipeline.next_batch(engine.best_batch))

    def _run(self, engine: Engine, batch: list[Prepared]) -> None:
        self._writer.started([image.id for image in batch], Phase.RUN)
        begun_s = time.monotonic()
        with self._usage.step("run"):
            vectors = engine.run(np.stack([image.pixels for image in batch]))
        ran = {"type": "ran", "images": len(batch), "run_s": time.monotonic() - begun_s}
        self._writer.send(ran, *map(_output_frame, batch, np.asarray(vectors, dtype=np.float32)))

    def start(self, *, preparing_threads: int) -> None:
        for _ in range(preparing_threads):
            _in_thread(self.prepare_forever)
        for engine in self._engines:
            _in_thread(partial(self.run_forever, engine))

    def hello(self) -> None:
        engine = self._engines[0]
        self._writer.send(
            {
                "type": "hello",
                "protocol": PROTOCOL,
                "model": self._card.name,
                "version": self._card.version,
                "digest": self._card.digest,
                "engine": engine.name,
                "libraries": engine.libraries,
                "best_batch": engine.best_batch * len(self._engines),
                "dim": len(self._card.labels),
            }
        )


def _detail(error: Rejected | Transient | Unavailable) -> dict[str, str]:
    return {"part": error.component} if isinstance(error, Unavailable) else {"detail": error.detail}


def _output_frame(image: Prepared, vector: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "type": "output",
        "id": image.id,
        "vector": vector.tobytes(),
        "prepare_s": image.prepare_s,
        "source_sha256": image.source_sha256,
        "width_px": image.width_px,
        "height_px": image.height_px,
    }


def _in_thread(work: Any) -> None:
    """A thread whose bug ends the process loudly, instead of leaving it half alive."""

    def guarded() -> None:
        try:
            work()
        except PeerGone:
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    threading.Thread(target=guarded, daemon=True).start()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the connected socket to speak over")
    parser.add_argument("--card", type=Path, required=True, help="the model's card.toml")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    stream = FrameStream(socket.socket(fileno=arguments.fd))
    writer = FrameWriter(stream)
    try:
        settings = read_settings(flags={}, environ=os.environ)
        threads = settings.threads or len(os.sched_getaffinity(0))
        process = _ready(read_card(arguments.card), settings, writer, threads=threads)
    except PanopticonError as error:
        writer.send({"type": "unavailable", "id": 0, "reason": str(error), "part": "model"})
        sys.exit(0)
    process.start(preparing_threads=threads)
    process.hello()
    _serve(process, stream)


def _ready(card: ModelCard, settings: Settings, writer: FrameWriter, *, threads: int) -> ModelProcess:
    """Return a model that has passed its self-test. Raises: PanopticonError."""
    engines = [open_engine(card, engine=settings.engine, cache_dir=settings.cache_dir)]
    if wants_engine_per_thread(engines[0]):
        engines += [
            open_engine(card, engine=settings.engine, cache_dir=settings.cache_dir)
            for _ in range(threads - 1)
        ]
    for engine in engines:
        engine.load()
        self_test(card, engine)
    return ModelProcess(
        card=card,
        engines=engines,
        originals=open_originals(settings),
        writer=writer,
        limits=ItemLimits.of(settings),
    )


def wants_engine_per_thread(engine: Engine) -> bool:
    """Return whether each thread that runs the model needs an engine of its own."""
    # In release 0.1 the attribute was called `one_a_thread`. An engine class of a user's own may still have
    # only that name, which is accepted for one more release.
    if not hasattr(engine, "engine_per_thread") and hasattr(engine, FORMER_ATTRIBUTE):
        engine_class = type(engine).__qualname__
        log.warning("%s: rename its attribute %s to engine_per_thread", engine_class, FORMER_ATTRIBUTE)
        return bool(getattr(engine, FORMER_ATTRIBUTE))
    return engine.engine_per_thread


def _serve(process: ModelProcess, stream: FrameStream) -> None:
    next_alive_s = time.monotonic()
    while True:
        try:
            process.receive(stream.receive(wait_s=ALIVE_EVERY_S))
            if time.monotonic() >= next_alive_s:
                process.alive()
                next_alive_s = time.monotonic() + ALIVE_EVERY_S
        except PeerGone:
            # The run thread may be deep in native code; nothing of ours outlives the parent.
            os._exit(0)


if __name__ == "__main__":
    main()
