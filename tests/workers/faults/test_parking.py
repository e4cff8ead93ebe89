"""A fault that is not an image's own parks the worker and makes no image dead."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.interfaces import Delivery
from panopticon.messages import Lane
from tests.recoveries import Recorder
from tests.servers.rabbitmq import RabbitNode, RabbitSite
from tests.workers.faults.pipeline import MODELS, Pipeline, model_process_of, pipeline

BLUE = (0, 0, 250)
PARKED = "parked: queue unavailable"


@pytest.mark.parametrize(("model", "images"), [("dies", 40), ("dies", 1), ("dies", 2), ("unfit", 40)])
def test_a_model_whose_every_run_dies_parks_the_worker_and_no_image_is_dead(
    tmp_path: Path, model: str, images: int
) -> None:
    with pipeline(tmp_path, model, park_max_s=0.2) as run:
        photos = {f"{number}": run.picture(f"{number}", BLUE) for number in range(images)}
        run.submit(photos)
        worker = run.start_worker()
        run.wait_until(lambda: run.log.count("parked: model unavailable") >= 1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert (run.stored(list(photos)), run.dead(list(photos))) == ({}, {})
        assert run.waiting() == images


def test_a_source_that_answers_not_found_to_everything_parks_the_worker_and_26_images_are_dead(
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
        assert len(dead) == 26
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


def test_a_worker_that_is_started_before_its_broker_waits_for_it(
    tmp_path: Path, rabbit_node: RabbitNode, recovered: Recorder
) -> None:
    with (
        rabbit_node.site.virtual_host() as url,
        pipeline(tmp_path, "null", broker=url, file_roots=(tmp_path,), park_max_s=1.0) as run,
    ):
        run.submit({"1": run.picture("1", BLUE)})
        rabbit_node.stop()
        worker = run.start_worker()
        run.wait_until(lambda: PARKED in run.log or worker.poll() is not None)
        rabbit_node.start()
        recovered(run.resumed_s(["1"]))
        rabbit_node.await_queues()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def test_a_worker_that_waits_for_its_broker_ends_at_once_on_sigterm(tmp_path: Path) -> None:
    with pipeline(tmp_path, "null") as run:
        nowhere = run.settings.model_copy(update={"broker": "amqp://127.0.0.1:1"})
        worker = replace(run, settings=nowhere).start_worker()
        run.wait_until(lambda: PARKED in run.log or worker.poll() is not None)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0


IMAGES = 60


@pytest.fixture(params=["sqlite", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting; SQLite's is left empty."""
    if request.param == "sqlite":
        yield ""
        return
    site: RabbitSite = request.getfixturevalue("rabbit_site")
    with site.virtual_host() as url:
        yield url


@contextmanager
def worker_whose_card_is_gone(tmp_path: Path, broker: str) -> Iterator[Pipeline]:
    """A worker whose model process dies during work, and cannot be started again."""
    models_dir = tmp_path / "models"
    shutil.copytree(MODELS / "slow", models_dir / "slow")
    places = {"broker": broker, "models_dir": models_dir, "file_roots": (tmp_path,)}
    with pipeline(tmp_path, "slow", **places, park_max_s=0.2, park_hold_s=2.0) as run:
        run.submit({image_id: run.picture(image_id, BLUE) for image_id in image_ids()})
        worker = run.start_worker()
        run.wait_until(lambda: bool(run.stored(image_ids())))
        (models_dir / "slow" / "card.toml").unlink()
        model = model_process_of(worker)
        assert model is not None
        model.kill()
        run.wait_until(lambda: "requeued what was held" in run.log)
        yield run


def image_ids() -> list[str]:
    return [f"{number}" for number in range(IMAGES)]


def test_a_worker_that_is_parked_for_long_holds_nothing_and_no_attempt_was_spent(
    tmp_path: Path, broker: str
) -> None:
    with worker_whose_card_is_gone(tmp_path, broker) as run:
        queue = run.broker.model_queue(run.card.version_name)
        run.wait_until(lambda: queue.depth()[Lane.LIVE].leased == 0)
        left = queue.depth()[Lane.LIVE].ready
        assert left == IMAGES - len(run.stored(image_ids())) > 0
        taken: list[Delivery] = []

        def took_all() -> bool:
            taken.extend(queue.receive(max_live=IMAGES, max_backfill=0, wait_s=1.0))
            return len(taken) == left

        run.wait_until(took_all)
        assert {delivery.attempt for delivery in taken} == {0}


def test_what_a_worker_requeued_another_one_stores(tmp_path: Path, broker: str) -> None:
    with worker_whose_card_is_gone(tmp_path, broker) as run:
        replace(run, settings=run.settings.model_copy(update={"models_dir": MODELS})).start_worker()
        run.wait_until_settled()
        assert (len(run.stored(image_ids())), run.dead(image_ids())) == (IMAGES, {})
        assert run.log.count("requeued what was held") == 1
