"""One bad image never harms another, even when it takes the model's process with it."""

from __future__ import annotations

from pathlib import Path

from tests.models.engines import RED
from tests.workers.faults.pipeline import Pipeline, pipeline

GREY = (90, 90, 90)


def photos_with_one_red(run: Pipeline, count: int) -> dict[str, Path]:
    grey = {f"grey-{number}": run.picture(f"grey-{number}", GREY) for number in range(count - 1)}
    names = list(grey)
    return {**{name: grey[name] for name in names[:7]}, "red": run.picture("red", RED), **grey}


def test_a_photo_that_kills_the_model_process_is_dead_and_the_31_others_are_stored(
    tmp_path: Path,
) -> None:
    with pipeline(tmp_path, "exits") as run:
        photos = photos_with_one_red(run, 32)
        run.submit(photos)
        run.start_worker()
        run.wait_until_settled()
        assert set(run.stored(list(photos))) == set(photos) - {"red"}
        assert {name: f.reason for name, f in run.dead(list(photos)).items()} == {"red": "killed_process"}


def test_a_photo_on_which_the_model_hangs_is_dead_and_the_31_others_are_stored(tmp_path: Path) -> None:
    with pipeline(tmp_path, "hangs", item_timeout_s=1.0) as run:
        photos = photos_with_one_red(run, 32)
        run.submit(photos)
        run.start_worker()
        run.wait_until_settled()
        assert set(run.stored(list(photos))) == set(photos) - {"red"}
        assert {name: f.reason for name, f in run.dead(list(photos)).items()} == {"red": "timed_out"}


def test_a_failure_keeps_the_message_it_came_with(tmp_path: Path) -> None:
    with pipeline(tmp_path, "exits") as run:
        run.submit({"red": run.picture("red", RED)})
        (message,) = run.broker.model_queue(run.card.version_name).receive(
            max_live=1, max_backfill=0, wait_s=0
        )
        run.broker.model_queue(run.card.version_name).requeue([message])
        run.start_worker()
        run.wait_until_settled()
        assert run.dead(["red"])["red"].message == message.body
