"""`panopticon audit`, as an operator calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from panopticon.settings import Settings


def audit(settings: Settings, folder: Path, *more: str) -> tuple[int, set[tuple[str, str]]]:
    """Exit code, and (image, version) of what is lost."""
    command = [
        sys.executable,
        "-m",
        "workers.cli.main",
        "audit",
        "--ids",
        str(folder / "ids"),
        "--json",
        *more,
    ]
    environ = {**os.environ, **settings.as_environ()}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    verdicts = json.loads(done.stdout)["verdicts"]
    return done.returncode, {(v["image_id"], v["model"]) for v in verdicts if v["verdict"] == "lost"}
