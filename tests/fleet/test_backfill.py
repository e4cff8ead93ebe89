"""A backfill on three servers: only here is its process killed five times there, while a worker runs.

tests/workers/faults/test_backfill.py does the same on SQLite, tests/workers/backfill/ without processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from tests.fleet.processes import fleet
from tests.fleet.trial import wait_for, wait_until_empty
from tests.house import house_of
from tests.workers.backfill.feeding_process import fill_catalogue, finish, kill_at, runs

COUNTING = VersionName(model="counting", version=1)
KILLS = 5
IN_FLIGHT = 3 * 32


@pytest.mark.parametrize(
    "count", [800, pytest.param(5_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_a_backfill_killed_5_times_misses_no_image_and_repeats_at_most_what_was_in_flight(
    tmp_path: Path, on_three_servers: Settings, count: int
) -> None:
    settings = on_three_servers.model_copy(update={"backfill_waiting": 100})
    image_ids = [f"photo-{number}" for number in range(count)]
    kills_at = [count * kill // 10 for kill in range(1, KILLS + 1)]
    picture, ids = tmp_path / "one.png", tmp_path / "ids"
    Image.new("RGB", (16, 16), (1, 2, 3)).save(picture)
    ids.write_text("\n".join(image_ids))
    with fleet(settings, tmp_path, (COUNTING,)) as running, house_of(settings) as house:
        fill_catalogue(house.store, image_ids, picture)
        kill_at(settings, COUNTING, ids, kills_at, store=house.store, wait_until=wait_for)
        assert finish(settings, COUNTING, ids) == 0
        wait_until_empty(settings, [COUNTING])
        assert {key.image_id for key in house.store.outputs.get(image_ids, COUNTING)} == set(image_ids)
        assert 0 <= runs(settings) - count <= KILLS * IN_FLIGHT
        documents = house.search.get(image_ids)
        assert [name for name in image_ids if COUNTING.part not in documents[name].parts] == []
        assert set(running.stop().values()) == {0}
