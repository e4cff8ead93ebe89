"""The child that holds one model: fetch ▸ decode ▸ batch ▸ run. It retries nothing and writes to no store.

Started by `ChildProcess` with a connected socket and a pipe as its descriptors; every setting comes from the
environment. It ends with its parent: end of file is the signal.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import ModelCard, read_card
from panopticon.engines import open_engine
from panopticon.errors import PanopticonError, Rejected, Transient, Unavailable
from panopticon.images.decoding import decode
from panopticon.interfaces import Engine, ImageSource
from panopticon.models.golden import self_test
from panopticon.scheduling.dispatch import Phase
from panopticon.scheduling.items import Item
from panopticon.settings import Settings, read_settings
from storage.originals import open_originals
from workers.model_process.frame_writer import FrameWriter
from workers.model_process.frames import (
    PROTOCOL,
    AliveFrame,
    CancelFrame,
    DroppedFrame,
    Frame,
    FrameStream,
    HelloFrame,
    OutputFrame,
    PeerGone,
    RanFrame,
    RejectedFrame,
    TransientFrame,
    UnavailableFrame,
)
from workers.model_process.image_log import ImageLog
from workers.model_process.item_limits import ItemLimits
from workers.model_process.pipeline import Decode, Decoded, Pipeline, Run
from workers.model_process.progress import ProgressWriter
from workers.model_process.usage import Usage

log = logging.getLogger(__name__)

ALIVE_EVERY_S = 1.0
FORMER_ATTRIBUTE = "one_a_thread"


class ModelProcess:
    """One model version at work."""

    def __init__(
        self,
        *,
        card: ModelCard,
        engines: Sequence[Engine],
        originals: ImageSource,
        writer: FrameWriter,
        progress: ProgressWriter,
        limits: ItemLimits,
        image_log: ImageLog,
        fetching_threads: int,
        computing_threads: int,
    ) -> None:
        """`engines`: alike, loaded, as many as may run at once."""
        self._card = card
        self._engines = engines
        self._fetching_threads = fetching_threads
        self._computing_threads = computing_threads
        self._writer = writer
        self._progress = progress
        self._limits = limits
        self._originals = originals
        self._image_log = image_log
        self._pipeline = Pipeline(engines)
        self._to_report: queue.SimpleQueue[DroppedFrame] = queue.SimpleQueue()
        self._usage = Usage()

    def receive(self, frames: Sequence[Frame]) -> None:
        """Accept the items among these frames, and cancel what they cancel; ignore frames of other types.

        It sends nothing, so that this side goes on reading while the other one reads nothing.
        """
        items = [frame for frame in frames if isinstance(frame, Item)]
        if items:
            self._pipeline.receive(items)
        # In one piece of the stream an item comes before the frame that cancels it.
        for frame in frames:
            if isinstance(frame, CancelFrame) and (dropped := self._pipeline.cancel(frame.ids)):
                self._to_report.put(DroppedFrame(ids=tuple(dropped)))

    def report_forever(self) -> None:
        """Report what was dropped, and each second that this process is alive."""
        next_alive_s = time.monotonic()
        while True:
            try:
                self._writer.send(self._to_report.get(timeout=max(next_alive_s - time.monotonic(), 0.0)))
            except queue.Empty:
                self.alive()
                next_alive_s = time.monotonic() + ALIVE_EVERY_S

    def alive(self) -> None:
        self._writer.send(AliveFrame(cpu_s=self._usage.read()))

    def fetch_forever(self) -> None:
        while True:
            item = self._pipeline.next_to_fetch()
            self._do(item, partial(self._fetch, item))

    def compute_forever(self) -> None:
        while True:
            work = self._pipeline.next_to_compute()
            if isinstance(work, Run):
                self._run(work)
            else:
                self._do(work.item, partial(self._decode, work))

    def _do(self, item: Item, step: Callable[[], bool]) -> None:
        """Take one step with an image, and answer for it if that was its last one.

        `step` returns whether the image goes on; it does not if it was cancelled.
        """
        # An error of this image is its answer; any other exception is a bug, and ends the process.
        try:
            with self._image_log.about(item.trace):
                goes_on = step()
        except (Rejected, Transient, Unavailable) as error:
            self._pipeline.failed(item)
            self._writer.send(_failure_frame(item.id, error))
            return
        if not goes_on:
            self._writer.send(DroppedFrame(ids=(item.id,)))

    def _fetch(self, item: Item) -> bool:
        begun_s = time.monotonic()
        self._progress.started((item.id,), Phase.FETCH)
        with self._usage.step("fetch"):
            encoded = self._originals.fetch(item.uri, self._limits.fetch)
        # While it waits for its decode, it is not the image that takes time.
        self._progress.started((item.id,), Phase.SENT)
        return self._pipeline.fetched(item, encoded, fetch_s=time.monotonic() - begun_s)

    def _decode(self, work: Decode) -> bool:
        begun_s = time.monotonic()
        self._progress.started((work.item.id,), Phase.DECODE)
        with self._usage.step("decode"):
            decoded = decode(
                work.encoded,
                input=self._card.input,
                preprocessing=self._card.preprocessing,
                limits=self._limits.decode,
            )
        self._progress.started((work.item.id,), Phase.READY)
        return self._pipeline.decoded(
            Decoded(
                item=work.item,
                pixels=decoded.pixels,
                prepare_s=work.fetch_s + time.monotonic() - begun_s,
                source_sha256=hashlib.sha256(work.encoded).hexdigest(),
                width_px=decoded.width_px,
                height_px=decoded.height_px,
            )
        )

    def _run(self, run: Run) -> None:
        images = run.images
        self._progress.started(tuple(image.item.id for image in images), Phase.RUN)
        begun_s = time.monotonic()
        traces = " ".join(image.item.trace for image in images if image.item.trace)
        with self._usage.step("run"), self._image_log.about(traces):
            vectors = run.engine.run(_batch([image.pixels for image in images]))
        ran = RanFrame(images=len(images), run_s=time.monotonic() - begun_s)
        outputs = [
            OutputFrame(
                id=image.item.id,
                vector=vector.tobytes(),
                prepare_s=image.prepare_s,
                source_sha256=image.source_sha256,
                width_px=image.width_px,
                height_px=image.height_px,
            )
            for image, vector in zip(images, np.asarray(vectors, dtype=np.float32), strict=True)
        ]
        self._writer.send(ran, *outputs)
        self._pipeline.ran(run)

    def start(self) -> None:
        """Start the threads that fetch, those that decode and run, and the one that reports."""
        for _ in range(self._fetching_threads):
            _in_thread(self.fetch_forever)
        for _ in range(self._computing_threads):
            _in_thread(self.compute_forever)
        _in_thread(self.report_forever)

    def hello(self) -> None:
        engine = self._engines[0]
        self._writer.send(
            HelloFrame(
                protocol=PROTOCOL,
                model=self._card.name,
                version=self._card.version,
                digest=self._card.digest,
                engine=engine.name,
                libraries=engine.libraries,
                best_batch=engine.best_batch * len(self._engines),
                dim=len(self._card.labels),
            )
        )


def _failure_frame(id_: int, error: Rejected | Transient | Unavailable) -> Frame:
    """Return the answer for an image that will not run."""
    match error:
        case Rejected():
            return RejectedFrame(id=id_, reason=error.reason, detail=error.detail)
        case Transient():
            return TransientFrame(id=id_, reason=error.reason, detail=error.detail)
        case Unavailable():
            return UnavailableFrame(id=id_, component=error.component, reason=error.reason)


def _batch(pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    # One image need not be copied.
    return pixels[0][np.newaxis] if len(pixels) == 1 else np.stack(pixels)


def _in_thread(work: Callable[[], None]) -> None:
    """Start a thread whose bug ends the whole process, which would otherwise go on half alive."""

    def guarded() -> None:
        try:
            work()
        except PeerGone:
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    threading.Thread(target=guarded, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the connected socket to speak over")
    parser.add_argument("--progress-fd", type=int, required=True, help="the pipe to report progress over")
    parser.add_argument("--card", type=Path, required=True, help="the model's card.toml")
    arguments = parser.parse_args()
    image_log = ImageLog()
    image_log.begin()
    stream = FrameStream(socket.socket(fileno=arguments.fd))
    writer = FrameWriter(stream)
    progress = ProgressWriter(arguments.progress_fd)
    try:
        try:
            settings = read_settings(flags={}, environ=os.environ)
            threads = settings.threads or len(os.sched_getaffinity(0))
            card = read_card(arguments.card)
            process = _ready(card, settings, writer, progress, image_log, threads=threads)
        except PanopticonError as error:
            writer.send(UnavailableFrame(id=0, component="model", reason=str(error)))
            sys.exit(0)
        process.hello()
    except PeerGone:
        # The parent has closed it while the model was still being loaded.
        sys.exit(0)
    process.start()
    _serve(process, stream)


def _ready(
    card: ModelCard,
    settings: Settings,
    writer: FrameWriter,
    progress: ProgressWriter,
    image_log: ImageLog,
    *,
    threads: int,
) -> ModelProcess:
    """Return a model that has passed its self-test. Raises: PanopticonError."""
    engines = [open_engine(card, engine=settings.engine, cache_dir=settings.cache_dir)]
    per_thread = wants_engine_per_thread(engines[0])
    if per_thread:
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
        progress=progress,
        limits=ItemLimits.of(settings),
        image_log=image_log,
        fetching_threads=threads,
        # The thread that waits for an engine which computes elsewhere leaves its core to another decode.
        computing_threads=threads if per_thread else threads + 1,
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
    while True:
        try:
            process.receive(stream.receive(wait_s=None))
        except PeerGone:
            # A thread may be deep in native code that cannot be stopped, and nothing may outlive the parent.
            os._exit(0)


if __name__ == "__main__":
    main()
