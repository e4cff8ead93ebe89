"""The program of this project as a process, with the settings of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from panopticon.settings import Settings
from tests.servers.guardian import guarded, start_guarded

PROGRAM = (sys.executable, "-m", "workers.cli.main")


def start(*words: str, settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """Start one command, its output appended to `log`. It ends with the test run at the latest."""
    with log.open("ab") as written:
        return start_guarded([*PROGRAM, *words], environ=environ_of(settings), stdout=written, stderr=written)


def run(*words: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    """Run one command until it ends by itself, or with the test run."""
    command = [*PROGRAM, *words]
    environ = guarded(environ_of(settings))
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def environ_of(settings: Settings) -> dict[str, str]:
    """Return the environment of this process, with the settings."""
    return {**os.environ, **settings.as_environ()}
