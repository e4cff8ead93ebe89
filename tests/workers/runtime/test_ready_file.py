"""The file that shows a supervisor that a process can take work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.workers.faults.pipeline import pipeline
from workers.runtime.lifecycle import TOUCH_EVERY_S, ReadyFile

LONG_AGO_S = 1000


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ready"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ready(path: Path, clock: Clock) -> ReadyFile:
    return ReadyFile(path, clock=clock)


def is_young(path: Path) -> bool:
    return path.stat().st_mtime > LONG_AGO_S


def test_the_file_exists_while_work_can_be_taken_and_not_while_parked(ready: ReadyFile, path: Path) -> None:
    assert not path.exists()
    ready.show(ready=True)
    assert path.exists()
    ready.show(ready=False)
    assert not path.exists()
    ready.show(ready=True)
    assert path.exists()


def test_the_file_is_touched_again_but_not_each_turn(ready: ReadyFile, path: Path, clock: Clock) -> None:
    ready.show(ready=True)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    ready.show(ready=True)
    assert not is_young(path)
    clock.now_s += TOUCH_EVERY_S
    ready.show(ready=True)
    assert is_young(path)


def test_a_process_that_was_never_ready_does_not_remove_the_file_of_another(
    ready: ReadyFile, path: Path
) -> None:
    path.touch()
    ready.show(ready=False)
    assert path.exists()


def test_without_a_path_nothing_is_written(tmp_path: Path) -> None:
    ReadyFile(None).show(ready=True)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_logged_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ReadyFile(tmp_path / "absent" / "ready").show(ready=True)
    assert caplog.messages == [f"ready_file {tmp_path}/absent/ready: No such file or directory"]


def test_a_worker_is_ready_once_its_model_is_and_until_it_stops(tmp_path: Path) -> None:
    with pipeline(tmp_path, "null", ready_file=tmp_path / "ready") as run:
        worker = run.start_worker()
        run.wait_until((tmp_path / "ready").exists)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert not (tmp_path / "ready").exists()


def test_a_worker_whose_model_is_down_is_not_ready(tmp_path: Path) -> None:
    with pipeline(tmp_path, "unfit", ready_file=tmp_path / "ready", park_max_s=0.2) as run:
        run.start_worker()
        run.wait_until(lambda: "parked: model unavailable" in run.log)
        assert not (tmp_path / "ready").exists()


def test_an_indexer_is_ready_until_it_stops(tmp_path: Path) -> None:
    with pipeline(tmp_path, "null", ready_file=tmp_path / "ready") as run:
        indexer = run.start("indexer", log="indexer.log")
        run.wait_until((tmp_path / "ready").exists)
        indexer.send_signal(signal.SIGTERM)
        assert indexer.wait(30) == 0
        assert not (tmp_path / "ready").exists()
