"""A disk that takes nothing more parks the worker; with room again, every image is stored."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil

from tests.workers.faults.pipeline import pipeline

NO_ROOM = (4096, resource.RLIM_INFINITY)
ROOM = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_a_full_disk_under_the_database_parks_and_loses_nothing(tmp_path: Path) -> None:
    with pipeline(tmp_path, "slow", park_max_s=0.3) as run:
        photos = {f"{n}": run.picture(f"{n}", (n % 250, 1, 1)) for n in range(300)}
        run.submit(photos)
        worker = psutil.Process(run.start_worker().pid)
        run.wait_until(lambda: len(run.stored(list(photos))) > 0)
        worker.rlimit(resource.RLIMIT_FSIZE, NO_ROOM)
        run.wait_until(lambda: "parked: " in run.log)
        worker.rlimit(resource.RLIMIT_FSIZE, ROOM)
        run.wait_until_settled()
        assert set(run.stored(list(photos))) == set(photos)
        assert run.dead(list(photos)) == {}
        assert "resumed: " in run.log
