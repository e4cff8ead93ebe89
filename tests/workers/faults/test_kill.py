"""kill -9 at random moments loses no image, fails no image, and repeats little."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from panopticon.messages import Lane, ResultPublished, decode_result_message
from tests.workers.faults.pipeline import Pipeline, model_process_of, pipeline

KILLS = 20
IMAGES = 600
IN_FLIGHT = 3 * 8
"""The credit of the slow engine: what one worker can hold."""


def coloured(run: Pipeline, count: int) -> dict[str, Path]:
    return {
        f"{number}": run.picture(f"{number}", (number % 250, 7 * number % 250, 13 * number % 250))
        for number in range(count)
    }


def expected_vector(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as picture:
        pixels = np.asarray(picture, dtype=np.float64)
    return np.array([pixels[:, :, channel].mean() / 255 for channel in range(3)])


def published(run: Pipeline) -> list[str]:
    """The image_id of every result in the results queue, repeats included."""
    queue, ids = run.broker.results(), []
    while deliveries := queue.receive(max_live=500, max_backfill=500, wait_s=0):
        messages = [decode_result_message(delivery.body) for delivery in deliveries]
        ids += [message.image_id for message in messages if isinstance(message, ResultPublished)]
        queue.ack(deliveries)
    return ids


def check_nothing_lost(run: Pipeline, photos: dict[str, Path], *, repeats_allowed: int) -> None:
    stored = run.stored(list(photos))
    assert set(stored) == set(photos)
    assert run.dead(list(photos)) == {}
    for name, output in stored.items():
        np.testing.assert_allclose(output.vector, expected_vector(photos[name]), atol=1e-6)
    ids = published(run)
    assert set(ids) == set(photos)
    assert len(ids) - len(set(ids)) <= repeats_allowed


def wait_for_progress(run: Pipeline, photos: dict[str, Path]) -> None:
    """Wait until one more image is stored than was at the call, or all are."""
    before = len(run.stored(list(photos)))
    run.wait_until(lambda: len(run.stored(list(photos))) > before or before == len(photos))


def test_kill_9_of_the_worker_20_times_stores_every_image(tmp_path: Path) -> None:
    moments = random.Random(7)
    with pipeline(tmp_path, "slow", lease_s=1.0) as run:
        photos = coloured(run, IMAGES)
        run.submit(photos)
        for _ in range(KILLS):
            worker = run.start_worker()
            wait_for_progress(run, photos)
            time.sleep(moments.uniform(0.0, 0.2))
            worker.kill()
            worker.wait()
        assert run.waiting() > 0, "the kills came too late to hit anything"
        run.start_worker()
        run.wait_until_settled()
        check_nothing_lost(run, photos, repeats_allowed=KILLS * IN_FLIGHT)


def test_kill_9_of_the_model_process_20_times_stores_every_image_and_repeats_none(tmp_path: Path) -> None:
    moments = random.Random(11)
    with pipeline(tmp_path, "slow") as run:
        photos = coloured(run, IMAGES)
        run.submit(photos)
        worker = run.start_worker()
        for _ in range(KILLS):
            wait_for_progress(run, photos)
            time.sleep(moments.uniform(0.0, 0.2))
            kill_model_process(run, worker)
        assert run.waiting() > 0, "the kills came too late to hit anything"
        run.wait_until_settled()
        check_nothing_lost(run, photos, repeats_allowed=0)
        assert worker.poll() is None


def kill_model_process(run: Pipeline, worker: subprocess.Popen[bytes]) -> None:
    run.wait_until(lambda: model_process_of(worker) is not None)
    child = model_process_of(worker)
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    run.wait_until(lambda: not child.is_running())


@pytest.mark.parametrize("lane", list(Lane))
def test_sigterm_under_load_exits_0_in_time_and_loses_and_repeats_nothing(tmp_path: Path, lane: Lane) -> None:
    with pipeline(tmp_path, "slow", grace_s=10.0) as run:
        photos = coloured(run, IMAGES)
        run.submit(photos, lane)
        worker = run.start_worker()
        run.wait_until(lambda: len(run.stored(list(photos))) > 0)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        depth = run.broker.model_queue(run.card.version_name).depth()[lane]
        assert depth.leased == 0
        assert len(run.stored(list(photos))) + depth.ready == IMAGES
        run.start_worker()
        run.wait_until_settled()
        check_nothing_lost(run, photos, repeats_allowed=0)
