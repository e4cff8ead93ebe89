"""`panopticon index` starts its processes once, runs what is missing, and reports what holds it up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

from panopticon.settings import PREFIX
from tests.end_to_end.command import MODELS, Installation


def test_a_model_that_is_added_runs_on_the_known_photos_with_one_start_of_the_processes(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (20, 20), "teal").save(tmp_path / "photo.png")
    house = Installation(
        folder=tmp_path, cache_dir=tmp_path / "cache", settings=(f"models_dir={MODELS}", "models=null@1")
    )
    assert house.panopticon("index", "photo.png").exit_code == 0
    done = house.panopticon("index", "photo.png", "--model", "null@1", "--model", "counting@1", "--json")
    assert done.exit_code == 0, done.err
    assert done.json["finished"] == 1
    assert {name: ledger["stored"] for name, ledger in done.json["ledger"].items()} == {
        "null@1": 1,
        "counting@1": 1,
    }
    # The bars of a run are drawn once, when its processes have ended.
    (bar,) = [line for line in done.err.splitlines() if line.startswith("counting@1")]
    assert "1/1" in bar


def test_a_worker_that_parks_is_reported_in_plain_words_and_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "teal").save(tmp_path / "photo.png")
    settings = ("database=sqlite:///house.db", f"models_dir={MODELS}", "cache_dir=cache", "grace_s=5")
    command = [sys.executable, "-m", "workers.cli.main"]
    command += [word for setting in settings for word in ("--set", setting)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    environ = {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [*command, "index", "photo.png", "--model", "unfit@1"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environ,
    ) as index:
        assert index.stderr is not None
        line = next(line for line in index.stderr if "parked" in line)
        index.send_signal(signal.SIGINT)
        index.stderr.read()
    assert line.startswith("unfit@1: parked: model unavailable: ")
    assert "trying again in " in line
    assert index.returncode == 130
