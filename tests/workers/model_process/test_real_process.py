"""A real model process, driven through its client: the settings that reach it, and the images it runs."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from panopticon.interfaces import ModelRunner
from panopticon.messages import Lane
from panopticon.metrics import Metrics
from panopticon.scheduling.items import Answer, NotRun, Ran
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.contracts.model_runner import ModelRunnerContract
from tests.panopticon.null_card import write_null_card
from workers.model_process.client import ModelClient
from workers.runtime.end_with_parent import start_child

PATIENCE_S = 30.0
MIB = 1024 * 1024


@contextmanager
def client(folder: Path, **settings: Any) -> Iterator[ModelClient]:
    chosen = Settings.model_validate(
        {"database": f"sqlite:///{folder}/panopticon.db", "cache_dir": folder / "cache", **settings}
    )
    with closing(ModelClient(write_null_card(folder / "card"), chosen, metrics=Metrics())) as made:
        yield made


def answer_of(model: ModelClient) -> Answer:
    """The next answer, of an image or of several."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (answers := model.poll(wait_s=0.1)):
        assert model.down is None, str(model.down)
        assert time.monotonic() < deadline_s, "no answer"
    (answer,) = answers
    return answer


def encoded(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 8), colour).save(out, "png")
    return out.getvalue()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelRunner]:
    """One process for all tests of the contract, since each takes a second to start."""
    with client(tmp_path_factory.mktemp("runner")) as made:
        yield made


class TestModelClient(ModelRunnerContract):
    @pytest.fixture
    def encoded(self) -> bytes:
        return encoded((250, 120, 60))

    @pytest.fixture
    def uri(self, tmp_path: Path, encoded: bytes) -> str:
        path = tmp_path / "image.png"
        path.write_bytes(encoded)
        return uri_of(os.fsencode(path))


def test_an_original_as_large_as_the_setting_allows_is_decoded(tmp_path: Path) -> None:
    """The decoder has a default of 64 MiB of its own, and must not fall back on it."""
    path = tmp_path / "large.bmp"
    Image.new("RGB", (4096, 5632), (255, 0, 0)).save(path)
    assert path.stat().st_size > 64 * MIB
    with client(tmp_path, max_bytes=100 * MIB) as model:
        model.add(Lane.LIVE, uri=uri_of(os.fsencode(path)))
        answer = answer_of(model)
    assert isinstance(answer, Ran), str(answer)
    assert (answer.width_px, answer.height_px) == (4096, 5632)


@pytest.mark.parametrize("settings", [{"max_bytes": 10}, {"max_pixels": 10}])
def test_a_limit_of_the_settings_reaches_the_model_process(tmp_path: Path, settings: dict[str, int]) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(encoded((255, 0, 0)))
    with client(tmp_path, **settings) as model:
        model.add(Lane.LIVE, uri=uri_of(os.fsencode(path)))
        answer = answer_of(model)
    assert isinstance(answer, NotRun)
    assert answer.error.reason == next(iter(settings)).replace("max", "too_many")


def test_an_image_that_an_item_carries_is_run_without_any_original(tmp_path: Path) -> None:
    with client(tmp_path, file_roots=(tmp_path / "nowhere",)) as model:
        item = model.add(Lane.LIVE, encoded=encoded((0, 0, 255)))
        answer = answer_of(model)
    assert isinstance(answer, Ran), str(answer)
    assert answer.item is item
    assert answer.vector.tolist() == [0, 0, 1]
    assert answer.source_sha256 == hashlib.sha256(encoded((0, 0, 255))).hexdigest()


def test_an_image_of_many_megabytes_that_an_item_carries_is_run(tmp_path: Path) -> None:
    """It is larger than the socket's buffers, so that the process reads while its parent still writes."""
    out = io.BytesIO()
    Image.new("RGB", (2000, 3000), (255, 0, 0)).save(out, "bmp")
    with client(tmp_path) as model:
        model.add(Lane.LIVE, encoded=out.getvalue())
        answer = answer_of(model)
    assert isinstance(answer, Ran), str(answer)
    assert (answer.width_px, answer.height_px) == (2000, 3000)


@pytest.mark.parametrize(
    ("image", "reason"), [(b"not a picture", "not_an_image"), (bytes(2000), "too_many_bytes")]
)
def test_an_image_that_an_item_carries_is_refused_as_a_fetched_one_would_be(
    tmp_path: Path, image: bytes, reason: str
) -> None:
    with client(tmp_path, max_bytes=1000) as model:
        model.add(Lane.LIVE, encoded=image)
        answer = answer_of(model)
    assert isinstance(answer, NotRun)
    assert answer.error.reason == reason


def ready(model: ModelClient) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while model.hello is None:
        assert time.monotonic() < deadline_s, str(model.down)
        model.poll(wait_s=0.05)


def test_cancelled_images_are_not_answered_and_give_their_credit_back(tmp_path: Path) -> None:
    with client(tmp_path) as model:
        ready(model)
        items = [model.add(Lane.LIVE, encoded=encoded((n, 0, 0))) for n in range(3 * model.credit)]
        answers = model.poll(wait_s=0)
        # On a busy machine the process may have answered some of them already.
        early = {answer.item.id for answer in answers}
        model.cancel(items[1::2])
        deadline_s = time.monotonic() + PATIENCE_S
        while len(model):
            answers += model.poll(wait_s=0.05)
            assert time.monotonic() < deadline_s, f"it holds {len(model)}"
        wanted = early.union(item.id for item in items[::2])
        assert sorted(answer.item.id for answer in answers) == sorted(wanted)
        assert all(isinstance(answer, Ran) for answer in answers)


def test_a_process_that_is_killed_while_it_is_sent_to_is_started_again_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """Each image is larger than the socket's buffers, so that the sender waits for the process to read."""
    out = io.BytesIO()
    Image.new("RGB", (2000, 3000), (255, 0, 0)).save(out, "bmp")
    with client(tmp_path) as model:
        ready(model)
        process = psutil.Process(model.pid)
        process.suspend()
        for _ in range(2):
            model.add(Lane.LIVE, encoded=out.getvalue())
        killer = threading.Timer(0.3, process.kill)
        killer.start()
        answers = model.poll(wait_s=0)
        assert not killer.is_alive() or killer.finished.is_set()
        deadline_s = time.monotonic() + PATIENCE_S
        while len(answers) < 2:
            answers += model.poll(wait_s=0.05)
            assert time.monotonic() < deadline_s, str(model.down)
    assert all(isinstance(answer, Ran) for answer in answers)


def test_a_process_that_reads_nothing_for_the_time_of_an_image_is_ended(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGB", (2000, 3000), (255, 0, 0)).save(out, "bmp")
    with client(tmp_path, item_timeout_s=5) as model:
        ready(model)
        stopped = psutil.Process(model.pid)
        stopped.suspend()
        model.add(Lane.LIVE, encoded=out.getvalue())
        answer = answer_of(model)
        assert not stopped.is_running()
    assert isinstance(answer, Ran), str(answer)


def test_a_process_started_from_another_thread_works_and_ends_with_close(tmp_path: Path) -> None:
    with client(tmp_path) as model:
        answers: list[Answer] = []

        def drive() -> None:
            model.add(Lane.LIVE, encoded=encoded((0, 0, 255)))
            answers.append(answer_of(model))

        thread = threading.Thread(target=drive)
        thread.start()
        thread.join(PATIENCE_S)
        # The thread that started it has ended, and it must not end with that thread.
        model.add(Lane.LIVE, encoded=encoded((255, 0, 0)))
        answers.append(answer_of(model))
        process = psutil.Process(model.pid)
    assert [isinstance(answer, Ran) for answer in answers] == [True, True]
    assert not process.is_running()


def test_a_process_that_is_closed_while_it_loads_its_model_ends_without_a_traceback(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    card = write_null_card(tmp_path / "card").folder / "card.toml"
    words = [f"--fd={theirs.fileno()}", f"--progress-fd={writing}", f"--card={card}"]
    ours.close()
    try:
        with theirs:
            child = start_child(
                "workers.model_process.main",
                words,
                pass_fds=[theirs.fileno(), writing],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        _, said = child.communicate(timeout=PATIENCE_S)
    finally:
        os.close(reading)
        os.close(writing)
    assert (child.returncode, said) == (0, b"")
