"""A rolling restart: only here are several workers of one version stopped in turn, in order and under load.

A worker that is killed is in test_three_servers.py and tests/workers/faults/test_kill.py.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from tests.fleet.trial import Colour, Trial, trial, wait_for
from tests.models.engines import notes_in
from tests.recoveries import Recorder

NOTING = VersionName(model="noting", version=1)


def runs(settings: Settings) -> list[tuple[int, Colour]]:
    """Return the process that ran each picture, and the picture's colour."""
    lines = notes_in(settings.cache_dir).read_text().splitlines()
    notes = [[int(word) for word in line.split()] for line in lines]
    return [(worker, (red, green, blue)) for worker, red, green, blue in notes]


def at_work_s(run: Trial, name: str) -> float:
    """Keep images waiting; return the seconds until this worker runs one."""
    begun_s, worker = time.monotonic(), run.fleet.pid(name)
    wait_for(lambda: run.is_under_way() and worker in {by for by, _ in runs(run.settings)})
    return time.monotonic() - begun_s


def test_a_rolling_restart_under_load_loses_no_image_and_runs_none_twice(
    tmp_path: Path, on_three_servers: Settings, recovered: Recorder
) -> None:
    settings = on_three_servers.model_copy(update={"grace_s": 10.0})
    with trial(settings, tmp_path, versions=[NOTING], replicas=3, portion=90) as run:
        for name in run.fleet.workers:
            run.wait_until_under_way()
            assert run.fleet.restart(name) < settings.grace_s
            recovered(at_work_s(run, name))
        run.end()
        run.check()
    assert Counter(colour for _, colour in runs(settings)) == dict.fromkeys(run.colours.values(), 1)
