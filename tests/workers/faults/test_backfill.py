"""A backfill that is killed misses nothing and repeats little; what was deleted stays gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from panopticon.messages import ImageMessage, Lane
from storage.search import open_search
from tests.workers.backfill.feeding_process import fill_catalogue, finish, kill_at, runs
from tests.workers.faults.pipeline import Pipeline, pipeline

IDS = 5000
KILLS_AT = (500, 1300, 2100, 2900, 3700)
IN_FLIGHT = 3 * 32
"""The credit of the null engine: what one worker can hold."""


def test_5000_ids_killed_5_times_miss_nothing_and_run_once(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with pipeline(tmp_path, "counting", backfill_waiting=400) as run:
        image_ids = [f"photo-{number}" for number in range(IDS)]
        fill_catalogue(run.store, image_ids, run.picture("one", (1, 2, 3)))
        ids = tmp_path / "ids"
        ids.write_text("\n".join(image_ids))
        run.start_worker()
        version = run.card.version_name
        kill_at(run.settings, version, ids, KILLS_AT, store=run.store, wait_until=run.wait_until)
        assert finish(run.settings, version, ids) == 0
        run.wait_until_settled()
        assert set(run.stored(image_ids)) == set(image_ids)
        repeated = runs(run.settings) - IDS
        record_property("run_twice", repeated)
        assert 0 <= repeated <= len(KILLS_AT) * IN_FLIGHT


@pytest.mark.parametrize("known", [True, False], ids=["before", "after"])
def test_what_was_deleted_while_no_worker_ran_stays_gone_after_a_backfill_of_everything(
    tmp_path: Path, known: bool
) -> None:
    """`known`: the indexer learns of the deletes before the backfill; otherwise after it."""
    with pipeline(tmp_path, "null") as run:
        photos = {f"photo-{number}": run.picture(f"{number}", (number, 1, 1)) for number in range(20)}
        run.submit(photos)
        run.index()
        deleted, kept = list(photos)[:10], list(photos)[10:]
        run.broker.uploads.publish([deletion_of(image_id) for image_id in deleted], Lane.LIVE)
        if known:
            run.index()
        ids = tmp_path / "ids"
        ids.write_text("\n".join(photos))
        assert finish(run.settings, run.card.version_name, ids) == 0
        run.start_worker()
        run.wait_until_settled()
        run.index()
        assert in_search(run, list(photos)) == set(kept)


def deletion_of(image_id: str) -> ImageMessage:
    return ImageMessage(image_id=image_id, revision=1, event="deleted")


def in_search(run: Pipeline, image_ids: list[str]) -> set[str]:
    documents = open_search(run.settings.search_url).get(image_ids)
    return {image_id for image_id, document in documents.items() if not document.deleted}
