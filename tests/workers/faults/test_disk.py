"""A full disk parks the workers; with room again, every image is stored."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil

from tests.recoveries import Recorder
from tests.workers.faults.pipeline import pipeline

IMAGES = 500
NO_ROOM = (4096, resource.RLIM_INFINITY)
ROOM = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_a_full_disk_under_the_database_parks_and_loses_nothing(tmp_path: Path, recovered: Recorder) -> None:
    with pipeline(tmp_path, "slow", park_max_s=0.3, retry_delays_s=()) as run:
        photos = {f"{n}": run.picture(f"{n}", (n % 250, n // 250, 1)) for n in range(IMAGES)}
        run.submit(photos)
        workers = [psutil.Process(run.start_worker().pid) for _ in range(2)]
        run.wait_until(lambda: len(run.stored(list(photos))) > 0)
        for worker in workers:
            worker.rlimit(resource.RLIMIT_FSIZE, NO_ROOM)
        run.wait_until(lambda: run.log.count("parked: ") >= len(workers))
        for worker in workers:
            worker.rlimit(resource.RLIMIT_FSIZE, ROOM)
        recovered(run.resumed_s(list(photos)))
        run.wait_until_settled()
        assert set(run.stored(list(photos))) == set(photos)
        assert run.dead(list(photos)) == {}
        run.wait_until(lambda: run.log.count("resumed: ") >= len(workers))
