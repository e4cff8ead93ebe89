"""The program, run by an operator while a fleet is at work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from panopticon.settings import Settings
from tests import program


def panopticon(settings: Settings, *words: str, code: int = 0) -> str:
    """Run a command that must end with this exit code; return its output."""
    done = program.run(*words, settings=settings)
    assert done.returncode == code, done.stderr
    return done.stdout


def panopticon_json(settings: Settings, *words: str, code: int = 0) -> Any:
    """Run a command that must end with this exit code; return its output with `--json`."""
    return json.loads(panopticon(settings, *words, "--json", code=code))


def audit(settings: Settings, ids: Path, *more: str) -> tuple[int, set[tuple[str, str]]]:
    """Audit the images in a file; return the exit code, and (image, version) of those that are lost."""
    done = program.run("audit", "--ids", str(ids), "--json", *more, settings=settings)
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)["verdicts"]
    lost = {(each["image_id"], each["model"]) for each in results if each["verdict"] == "lost"}
    return done.returncode, lost
