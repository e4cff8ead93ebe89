"""A backfill on three servers, killed again and again, misses nothing and repeats little."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from storage.search import open_search
from storage.stores import open_store
from tests.fleet.processes import fleet
from tests.fleet.trial import PATIENCE_S, give_up_after, wait_for
from tests.workers.backfill.feeding_process import fill_catalogue, finish, kill_at, runs
from workers.queues import broker_of
from workers.submission.index_plan import wait_until_done

COUNTING = VersionName(model="counting", version=1)
KILLS = 5
IN_FLIGHT = 3 * 32


@pytest.mark.parametrize(
    "count", [800, pytest.param(5_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_killed_5_times_it_misses_nothing_and_runs_once(
    tmp_path: Path, on_three_servers: Settings, count: int
) -> None:
    settings = on_three_servers.model_copy(update={"backfill_waiting": 100})
    image_ids = [f"photo-{number}" for number in range(count)]
    kills_at = [count * kill // 10 for kill in range(1, KILLS + 1)]
    picture, ids = tmp_path / "one.png", tmp_path / "ids"
    Image.new("RGB", (16, 16), (1, 2, 3)).save(picture)
    ids.write_text("\n".join(image_ids))
    with (
        fleet(settings, tmp_path, (COUNTING,)) as running,
        closing(open_store(settings.store_url)) as store,
        closing(broker_of(settings)) as broker,
    ):
        fill_catalogue(store, image_ids, picture)
        kill_at(settings, COUNTING, ids, kills_at, store=store, wait_until=wait_for)
        assert finish(settings, COUNTING, ids) == 0
        wait_until_done(broker, [COUNTING], watch=give_up_after(PATIENCE_S), every_s=0.5)
        assert {key.image_id for key in store.outputs.get(image_ids, COUNTING)} == set(image_ids)
        assert 0 <= runs(settings) - count <= KILLS * IN_FLIGHT
        documents = open_search(settings.search_url).get(image_ids)
        assert [name for name in image_ids if COUNTING.part not in documents[name].parts] == []
        assert set(running.stop().values()) == {0}
