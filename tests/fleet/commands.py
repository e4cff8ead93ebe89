"""The program as an operator calls it, beside a fleet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from panopticon.settings import Settings


def panopticon(settings: Settings, *words: str, code: int = 0) -> str:
    """What the command prints. It must end with this exit code."""
    command = [sys.executable, "-m", "workers.cli.main", *words]
    environ = {**os.environ, **settings.as_environ()}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def told(settings: Settings, *words: str, code: int = 0) -> Any:
    """What the command prints as JSON."""
    return json.loads(panopticon(settings, *words, "--json", code=code))
