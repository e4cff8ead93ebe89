"""While `panopticon index` waits, it reports what holds its processes up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

from panopticon.settings import PREFIX
from tests.end_to_end.command import MODELS


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
