"""The parts of the model process: the order of images, the frames they send, and the CPU time they count."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.cards.cards import ModelCard
from panopticon.engines import open_engine
from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits
from panopticon.interfaces import Engine, FetchLimits
from panopticon.messages import Lane
from panopticon.scheduling.dispatch import Phase
from panopticon.scheduling.items import Item
from storage.originals import Originals
from storage.originals.files import FileSource, uri_of
from tests.panopticon.null_card import write_null_card
from workers.model_process.frame_writer import FrameWriter
from workers.model_process.frames import (
    PROTOCOL,
    AliveFrame,
    CancelFrame,
    DroppedFrame,
    Frame,
    FrameEncoder,
    FrameError,
    FrameStream,
    HelloFrame,
    OutputFrame,
    PeerGone,
    RejectedFrame,
    StartedFrame,
)
from workers.model_process.image_log import ImageLog
from workers.model_process.item_limits import ItemLimits
from workers.model_process.main import ModelProcess, wants_engine_per_thread
from workers.model_process.pipeline import Decode, Decoded, Pipeline, Run
from workers.model_process.progress import ProgressReader, ProgressWriter
from workers.model_process.usage import Usage


@pytest.fixture
def ends() -> Iterator[tuple[FrameStream, FrameStream]]:
    """The child's end and the parent's."""
    child, parent = socket.socketpair()
    with child, parent:
        yield FrameStream(child), FrameStream(parent)


@pytest.fixture
def progress() -> Iterator[tuple[ProgressReader, BinaryIO]]:
    """The parent's end of the pipe, and the child's."""
    reading, writing = os.pipe()
    reader = ProgressReader(reading)
    with os.fdopen(writing, "wb") as pipe:
        yield reader, pipe
    reader.close()


def item(id_: int, lane: Lane = Lane.LIVE, *, uri: str = "file:///x") -> Item:
    return Item(id=id_, lane=lane, uri=uri, encoded=None)


def output(id_: int, vector: bytes = b"") -> OutputFrame:
    return OutputFrame(id=id_, vector=vector, prepare_s=0, source_sha256="", width_px=1, height_px=1)


ALIVE = AliveFrame(cpu_s={})


def by_bytes(id_: int, lane: Lane = Lane.LIVE) -> Item:
    return Item(id=id_, lane=lane, encoded=b"picture")


class Line:
    """A pipeline whose threads are the test."""

    def __init__(self, *engines: Engine) -> None:
        self.pipeline = Pipeline(engines)

    def decode(self) -> int:
        """Take the next decode, and return the id of its image."""
        work = self.pipeline.next_to_compute()
        assert isinstance(work, Decode)
        return work.item.id

    def decoded(self, id_: int, lane: Lane = Lane.LIVE) -> bool:
        """Finish the decode of an image."""
        pixels: NDArray[np.uint8] = np.zeros((2, 2, 3), dtype=np.uint8)
        return self.pipeline.decoded(
            Decoded(
                item=by_bytes(id_, lane),
                pixels=pixels,
                prepare_s=0,
                source_sha256="",
                width_px=2,
                height_px=2,
            )
        )

    def run(self) -> Run:
        """Take the next run."""
        work = self.pipeline.next_to_compute()
        assert isinstance(work, Run)
        return work


def ids(run: Run) -> list[int]:
    return [image.item.id for image in run.images]


class Batches:
    """An engine that is never called."""

    name = "batches"
    libraries = ""
    engine_per_thread = False

    def __init__(self, best_batch: int = 3) -> None:
        self.best_batch = best_batch

    def load(self) -> None: ...

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError


class TestPipeline:
    def test_live_is_fetched_before_an_older_backfill(self) -> None:
        pipeline = Pipeline([])
        pipeline.receive([item(1, Lane.BACKFILL), item(2, Lane.LIVE)])
        assert [pipeline.next_to_fetch().id for _ in range(2)] == [2, 1]

    def test_live_is_decoded_before_an_older_backfill(self) -> None:
        line = Line()
        line.pipeline.receive([by_bytes(1, Lane.BACKFILL), by_bytes(2, Lane.LIVE)])
        assert [line.decode() for _ in range(2)] == [2, 1]

    def test_live_runs_before_an_older_backfill(self) -> None:
        line = Line(Batches(1))
        line.decoded(1, Lane.BACKFILL)
        line.decoded(2, Lane.LIVE)
        assert ids(line.run()) == [2]

    def test_what_is_fetched_is_decoded(self) -> None:
        line = Line()
        line.pipeline.receive([item(1)])
        assert line.pipeline.fetched(line.pipeline.next_to_fetch(), b"picture", fetch_s=0)
        assert line.decode() == 1

    def test_while_a_source_hangs_what_came_as_bytes_is_decoded(self) -> None:
        line = Line()
        line.pipeline.receive([item(1), by_bytes(2)])
        assert line.pipeline.next_to_fetch().id == 1
        assert line.decode() == 2

    def test_a_batch_is_what_has_gathered_and_no_more_than_the_best(self) -> None:
        line = Line(Batches(3))
        for id_ in range(5):
            line.decoded(id_)
        batches = []
        for _ in range(2):
            run = line.run()
            batches.append(len(run.images))
            line.pipeline.ran(run)
        assert batches == [3, 2]

    def test_a_decoded_image_runs_before_another_one_is_decoded(self) -> None:
        line = Line(Batches())
        line.pipeline.receive([by_bytes(1), by_bytes(2)])
        line.decoded(line.decode())
        assert ids(line.run()) == [1]

    def test_while_every_engine_is_busy_images_are_decoded_and_gather(self) -> None:
        line = Line(Batches())
        line.pipeline.receive([by_bytes(id_) for id_ in (1, 2, 3)])
        line.decoded(line.decode())
        busy = line.run()
        line.decoded(line.decode())
        line.decoded(line.decode())
        line.pipeline.ran(busy)
        assert ids(line.run()) == [2, 3]

    def test_two_idle_engines_take_one_image_each(self) -> None:
        first, second = Batches(), Batches()
        line = Line(first, second)
        runs = []
        for id_ in (1, 2):
            line.decoded(id_)
            runs.append(line.run())
        assert [ids(run) for run in runs] == [[1], [2]]
        assert {run.engine for run in runs} == {first, second}

    @pytest.mark.parametrize("engines", [0, 1])
    def test_a_thread_that_waits_for_work_is_woken_by_it(self, engines: int) -> None:
        line = Line(*[Batches()] * engines)
        taken: list[int] = []
        thread = threading.Thread(target=lambda: taken.append(line.decode()))
        thread.start()
        line.pipeline.receive([by_bytes(1)])
        thread.join(10)
        assert taken == [1]

    def test_a_thread_that_waits_is_woken_by_a_fetch(self) -> None:
        line = Line()
        taken: list[int] = []
        thread = threading.Thread(target=lambda: taken.append(line.decode()))
        thread.start()
        line.pipeline.receive([item(1)])
        line.pipeline.fetched(line.pipeline.next_to_fetch(), b"picture", fetch_s=0)
        thread.join(10)
        assert taken == [1]

    def test_a_thread_that_waits_runs_what_a_batch_had_no_place_for(self) -> None:
        line = Line(Batches(1), Batches(1))
        taken: list[list[int]] = []
        thread = threading.Thread(target=lambda: taken.append(ids(line.run())))
        thread.start()
        for id_ in (1, 2):
            line.decoded(id_)
        assert ids(line.run()) == [1]
        thread.join(10)
        assert taken == [[2]]

    def test_every_item_goes_to_just_one_of_many_threads(self) -> None:
        line = Line()
        taken: list[int] = []
        threads = [
            threading.Thread(target=lambda: taken.extend(line.decode() for _ in range(50))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for id_ in range(200):
            line.pipeline.receive([by_bytes(id_)])
        for thread in threads:
            thread.join(10)
        assert sorted(taken) == list(range(200))

    def test_a_cancelled_image_is_dropped_from_every_wait(self) -> None:
        line = Line(Batches())
        line.pipeline.receive([item(1), item(2), by_bytes(3), by_bytes(4)])
        for id_ in (5, 6):
            line.decoded(id_)
        assert line.pipeline.cancel([1, 3, 5, 99]) == [1, 3, 5]
        assert line.pipeline.next_to_fetch().id == 2
        assert ids(line.run()) == [6]
        assert line.decode() == 4

    def test_an_image_cancelled_during_its_fetch_is_not_decoded(self) -> None:
        line = Line()
        line.pipeline.receive([item(1)])
        fetched = line.pipeline.next_to_fetch()
        assert line.pipeline.cancel([1]) == []
        assert not line.pipeline.fetched(fetched, b"picture", fetch_s=0)

    def test_an_image_cancelled_during_its_decode_never_waits_for_the_model(self) -> None:
        line = Line()
        line.pipeline.receive([by_bytes(1)])
        assert line.pipeline.cancel([line.decode()]) == []
        assert not line.decoded(1)

    def test_a_cancel_that_comes_after_the_answer_is_forgotten(self) -> None:
        line = Line()
        line.pipeline.receive([by_bytes(1)])
        line.decode()
        line.pipeline.failed(by_bytes(1))
        assert line.pipeline.cancel([1]) == []
        line.pipeline.receive([by_bytes(1)])
        line.decode()
        assert line.decoded(1)


class TestImageLog:
    def test_a_record_names_the_images_of_its_thread_alone(self) -> None:
        image_log, other = ImageLog(), logging.makeLogRecord({})
        with image_log.about("a b"):
            mine = logging.makeLogRecord({})
            image_log.filter(mine)
            thread = threading.Thread(target=image_log.filter, args=(other,))
            thread.start()
            thread.join()
        after = logging.makeLogRecord({})
        image_log.filter(after)
        assert [record.__dict__["trace"] for record in (mine, other, after)] == [" (trace a b)", "", ""]


class TestProgress:
    def test_what_is_reported_is_read_in_its_order_and_once(
        self, progress: tuple[ProgressReader, BinaryIO]
    ) -> None:
        reader, writer = progress[0], ProgressWriter(progress[1].fileno())
        assert reader.read() == []
        writer.started((1, 2), Phase.DECODE)
        writer.started((1,), Phase.RUN)
        expected = [
            StartedFrame(ids=(1, 2), phase=Phase.DECODE),
            StartedFrame(ids=(1,), phase=Phase.RUN),
        ]
        assert [reader.read(), reader.read()] == [expected, []]

    def test_what_was_reported_outlives_the_writer(self, progress: tuple[ProgressReader, BinaryIO]) -> None:
        ProgressWriter(progress[1].fileno()).started((1,), Phase.DECODE)
        progress[1].close()
        assert [len(progress[0].read()), len(progress[0].read())] == [1, 0]

    def test_a_writer_waits_while_the_pipe_is_full(self, progress: tuple[ProgressReader, BinaryIO]) -> None:
        reader, writer = progress[0], ProgressWriter(progress[1].fileno())
        ids = tuple(range(10_000))
        threads = [threading.Thread(target=writer.started, args=(ids, Phase.RUN)) for _ in range(4)]
        for thread in threads:
            thread.start()
        frames: list[StartedFrame] = []
        deadline_s = time.monotonic() + 10
        while len(frames) < len(threads) and time.monotonic() < deadline_s:
            frames += reader.read()
        for thread in threads:
            thread.join(10)
        assert frames == [StartedFrame(ids=ids, phase=Phase.RUN)] * len(threads)

    def test_a_reader_that_is_gone_is_a_parent_that_is_gone(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb"), pytest.raises(PeerGone):
            ProgressWriter(writing).started((1,), Phase.RUN)

    def test_another_frame_is_refused(self, progress: tuple[ProgressReader, BinaryIO]) -> None:
        os.write(progress[1].fileno(), FrameEncoder().encode(ALIVE))
        with pytest.raises(FrameError, match="alive"):
            progress[0].read()


class TestFrameWriter:
    def test_frames_of_many_threads_do_not_mix(self, ends: tuple[FrameStream, FrameStream]) -> None:
        writer = FrameWriter(ends[0])

        def send(thread: int) -> None:
            for number in range(10):
                writer.send(ALIVE, output(10 * thread + number, bytes([thread]) * 500_000))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        frames: list[Frame] = []
        while len(frames) < 80:
            frames += ends[1].receive(wait_s=10)
        for thread in threads:
            thread.join()
        outputs = [frame for frame in frames if isinstance(frame, OutputFrame)]
        assert all(frame.vector == bytes([frame.id // 10]) * 500_000 for frame in outputs)
        assert sorted(frame.id for frame in outputs) == list(range(40))


def spend(cpu_s: float, *, then: Exception | None = None) -> None:
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass
    if then is not None:
        raise then


class TestUsage:
    def test_a_step_counts_what_its_thread_spent(self) -> None:
        usage = Usage()
        with usage.step("decode"):
            spend(0.01)
        read = usage.read()
        assert 0.01 <= read["decode"] < 1
        assert (read["fetch"], read["run"]) == (0, 0)
        assert read["process"] >= read["decode"]

    def test_a_step_that_fails_counts_too(self) -> None:
        usage = Usage()
        with pytest.raises(ZeroDivisionError), usage.step("run"):
            spend(0.001, then=ZeroDivisionError())
        assert usage.read()["run"] >= 0.001


def report_until_closed(process: ModelProcess) -> None:
    with suppress(PeerGone):
        process.report_forever()


class HookedSource:
    """An ImageSource that does something during each fetch; there is no image."""

    def __init__(self) -> None:
        self.during: Callable[[], None] = lambda: None
        self.error: Rejected | None = None

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        self.during()
        if self.error:
            raise self.error
        return b"no picture"


class TestModelProcess:
    @pytest.fixture
    def card(self, tmp_path: Path) -> ModelCard:
        return write_null_card(tmp_path / "card")

    @pytest.fixture
    def engine(self, card: ModelCard, tmp_path: Path) -> Engine:
        engine = open_engine(card, cache_dir=tmp_path)
        engine.load()
        return engine

    @pytest.fixture
    def source(self) -> HookedSource:
        return HookedSource()

    @pytest.fixture
    def idle(
        self,
        card: ModelCard,
        engine: Engine,
        source: HookedSource,
        ends: tuple[FrameStream, FrameStream],
        progress: tuple[ProgressReader, BinaryIO],
    ) -> ModelProcess:
        """A process none of whose threads runs."""
        limits = ItemLimits(fetch=FetchLimits(max_bytes=1000), decode=DecodeLimits(max_pixels=10_000))
        return ModelProcess(
            card=card,
            engines=[engine],
            originals=Originals({"file": FileSource(), "hooked": source}),
            writer=FrameWriter(ends[0]),
            progress=ProgressWriter(progress[1].fileno()),
            limits=limits,
            image_log=ImageLog(),
            fetching_threads=1,
            computing_threads=1,
        )

    @pytest.fixture
    def process(self, idle: ModelProcess) -> ModelProcess:
        for work in (idle.fetch_forever, idle.compute_forever):
            threading.Thread(target=work, daemon=True).start()
        return idle

    @pytest.fixture
    def parent(self, ends: tuple[FrameStream, FrameStream]) -> FrameStream:
        return ends[1]

    def frames_until(self, parent: FrameStream, *last: str) -> list[Frame]:
        frames: list[Frame] = []
        while not any(frame.type in last for frame in frames):
            frames += parent.receive(wait_s=10)
        return frames

    def test_hello_describes_the_model(
        self, process: ModelProcess, parent: FrameStream, card: ModelCard
    ) -> None:
        process.hello()
        (hello,) = parent.receive(wait_s=10)
        assert isinstance(hello, HelloFrame)
        assert (hello.type, hello.protocol, hello.digest) == ("hello", PROTOCOL, card.digest)
        assert (hello.model, hello.version, hello.dim) == ("colour", 1, 3)
        assert (hello.engine, hello.best_batch) == ("null", 32)

    def test_each_phase_of_an_image_is_reported_and_then_its_output(
        self,
        process: ModelProcess,
        parent: FrameStream,
        progress: tuple[ProgressReader, BinaryIO],
        tmp_path: Path,
    ) -> None:
        path = tmp_path / "red.png"
        Image.new("RGB", (20, 10), (255, 0, 0)).save(path)
        process.receive([item(7, uri=uri_of(bytes(path)))])
        frames = self.frames_until(parent, "output")
        started = [(frame.ids, frame.phase) for frame in progress[0].read()]
        assert started == [((7,), phase) for phase in ("fetch", "sent", "decode", "ready", "run")]
        answer = frames[-1]
        assert isinstance(answer, OutputFrame)
        assert (answer.id, answer.width_px, answer.height_px) == (7, 20, 10)
        assert np.frombuffer(answer.vector, dtype=np.float32).tolist() == [1, 0, 0]
        assert answer.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_an_image_that_an_item_carries_is_decoded_without_a_fetch(
        self, process: ModelProcess, parent: FrameStream, progress: tuple[ProgressReader, BinaryIO]
    ) -> None:
        encoded = io.BytesIO()
        Image.new("RGB", (20, 10), (0, 255, 0)).save(encoded, "png")
        process.receive([replace(item(7, uri=""), encoded=encoded.getvalue())])
        frames = self.frames_until(parent, "output")
        started = [frame.phase for frame in progress[0].read()]
        assert started == ["decode", "ready", "run"]
        answer = frames[-1]
        assert isinstance(answer, OutputFrame)
        assert np.frombuffer(answer.vector, dtype=np.float32).tolist() == [0, 1, 0]
        assert answer.source_sha256 == hashlib.sha256(encoded.getvalue()).hexdigest()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(None, "not_found"), (b"x" * 1001, "too_many_bytes"), (b"no picture", "not_an_image")],
    )
    def test_an_image_that_cannot_be_run_is_answered_with_the_reason(
        self,
        process: ModelProcess,
        parent: FrameStream,
        tmp_path: Path,
        content: bytes | None,
        reason: str,
    ) -> None:
        path = tmp_path / "bad.png"
        if content is not None:
            path.write_bytes(content)
        process.receive([item(7, uri=uri_of(bytes(path)))])
        answer = self.frames_until(parent, "rejected")[-1]
        assert isinstance(answer, RejectedFrame)
        assert (answer.id, answer.reason) == (7, reason)
        assert answer.detail

    def test_an_image_cancelled_before_its_turn_is_dropped(
        self, idle: ModelProcess, parent: FrameStream
    ) -> None:
        idle.receive([item(7), CancelFrame(ids=(7,))])
        threading.Thread(target=report_until_closed, args=(idle,), daemon=True).start()
        frames = self.frames_until(parent, "dropped")
        assert [frame for frame in frames if not isinstance(frame, AliveFrame)] == [DroppedFrame(ids=(7,))]

    def test_an_image_cancelled_during_its_fetch_is_not_decoded(
        self,
        idle: ModelProcess,
        parent: FrameStream,
        progress: tuple[ProgressReader, BinaryIO],
        source: HookedSource,
    ) -> None:
        source.during = lambda: idle.receive([CancelFrame(ids=(7,))])
        threading.Thread(target=idle.fetch_forever, daemon=True).start()
        idle.receive([item(7, uri="hooked:x")])
        assert self.frames_until(parent, "dropped", "rejected") == [DroppedFrame(ids=(7,))]
        assert [frame.phase for frame in progress[0].read()] == [Phase.FETCH, Phase.SENT]

    def test_an_image_that_fails_though_it_was_cancelled_is_answered_once(
        self, idle: ModelProcess, parent: FrameStream, source: HookedSource
    ) -> None:
        source.during = lambda: idle.receive([CancelFrame(ids=(7,))])
        source.error = Rejected("not_found", "")
        threading.Thread(target=idle.fetch_forever, daemon=True).start()
        idle.receive([item(7, uri="hooked:x")])
        assert self.frames_until(parent, "rejected")[-1] == RejectedFrame(id=7, reason="not_found", detail="")
        idle.alive()
        assert [frame.type for frame in parent.receive(wait_s=10)] == ["alive"]

    def test_a_frame_that_is_not_an_item_is_ignored(self, process: ModelProcess, parent: FrameStream) -> None:
        process.receive([output(1)])
        process.alive()
        assert [frame.type for frame in parent.receive(wait_s=10)] == ["alive"]


class FormerEngine:
    """An engine of a user's own, written when `engine_per_thread` was still called `one_a_thread`."""

    name = "former"
    libraries = ""
    best_batch = 1

    def __init__(self, *, one_a_thread: bool) -> None:
        self.one_a_thread = one_a_thread

    def load(self) -> None: ...

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((len(batch), 3), dtype=np.float32)


@pytest.mark.parametrize("per_thread", [True, False])
def test_an_engine_with_the_former_attribute_name_works_for_one_release(per_thread: bool) -> None:
    engine = cast(Engine, FormerEngine(one_a_thread=per_thread))
    assert wants_engine_per_thread(engine) is per_thread
