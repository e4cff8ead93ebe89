"""What is no image's fault parks the worker and condemns nobody."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.workers.faults.pipeline import pipeline

BLUE = (0, 0, 250)


@pytest.mark.parametrize("model", ["dies", "unfit"])
def test_a_model_whose_every_run_dies_parks_the_worker_and_condemns_nobody(
    tmp_path: Path, model: str
) -> None:
    with pipeline(tmp_path, model, park_max_s=0.2) as run:
        photos = {f"{number}": run.picture(f"{number}", BLUE) for number in range(40)}
        run.submit(photos)
        worker = run.start_worker()
        run.wait_until(lambda: run.log.count("parked: model unavailable") >= 1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert (run.stored(list(photos)), run.dead(list(photos))) == ({}, {})
        assert run.waiting() == 40


def test_a_source_that_answers_not_found_to_everything_parks_and_leaves_at_most_200_dead(
    tmp_path: Path,
) -> None:
    with pipeline(tmp_path, "null", park_max_s=0.2) as run:
        photos = {f"{number}": tmp_path / f"absent-{number}.jpg" for number in range(1000)}
        run.submit(photos)
        worker = run.start_worker()
        run.wait_until(lambda: "parked: source unavailable" in run.log)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        dead = run.dead(list(photos))
        assert 100 < len(dead) <= 200
        assert {failure.reason for failure in dead.values()} == {"not_found"}
        assert run.waiting() == 1000 - len(dead)


def test_a_source_that_comes_back_is_noticed_and_the_rest_is_stored(tmp_path: Path) -> None:
    with pipeline(tmp_path, "null", park_max_s=0.2) as run:
        photos = {f"{number}": tmp_path / f"{number}.png" for number in range(400)}
        run.submit(photos)
        run.start_worker()
        run.wait_until(lambda: "parked: source unavailable" in run.log)
        dead = set(run.dead(list(photos)))
        for name in set(photos) - dead:
            run.picture(name, BLUE)
        run.wait_until_settled()
        assert set(run.stored(list(photos))) == set(photos) - set(run.dead(list(photos)))
        assert "resumed: source is back" in run.log
