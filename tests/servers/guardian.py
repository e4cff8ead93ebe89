"""The guardian of a test run: it ends what the run started once the run has ended, however it ended.

A run that is killed cannot clean up. So whatever outlives one call is started by `start_guarded`, with the ID
of the run in its environment, which the processes that it starts inherit. The guardian is a process in a
session of its own. It holds one end of a pipe whose other end closes with the run, and then kills every
process that has the ID.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

RUN_ID = "TEST_RUN_ID"
"""The environment variable; without the prefix of settings, of which unknown ones are refused."""
LIMIT_S = 60.0


def start_guarded(
    command: Sequence[str | Path], *, environ: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process that ends with this run at the latest. `options`: those of `subprocess.Popen`.

    Ctrl-C does not reach it, since it has a session of its own: the run ends it in order.
    """
    return subprocess.Popen(command, env=guarded(environ), start_new_session=True, **options)


def guarded(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the ID of this run."""
    return {**environ, RUN_ID: _start_guardian()}


@cache
def _start_guardian() -> str:
    """Return the ID of this run, which is one of this process."""
    run_id = uuid4().hex
    # Neither the ID of a run around this one, which would end the guardian first, nor coverage, which would
    # write its data after the run.
    environ = {key: value for key, value in os.environ.items() if not key.startswith((RUN_ID, "COVERAGE_"))}
    guardian = subprocess.Popen(
        [sys.executable, "-I", __file__, run_id],
        env=environ,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Closes the pipe and waits, so that nothing is left once this process has ended in order.
    atexit.register(guardian.communicate)
    return run_id


def kill_when_the_run_ends(run_id: str) -> None:
    """Wait until the other end of standard input is closed, then kill every process of the run."""
    sys.stdin.buffer.read()
    until_s = time.monotonic() + LIMIT_S
    # Again until none is left: one that was just being started is not seen the first time.
    while (
        left := [each for each in psutil.process_iter() if _has(run_id, each)]
    ) and time.monotonic() < until_s:
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(0.05)


def _has(run_id: str, process: psutil.Process) -> bool:
    """Return whether the process has this ID; False for those of other users and those that have ended."""
    try:
        return bool(process.environ().get(RUN_ID) == run_id)
    except psutil.Error:
        return False


if __name__ == "__main__":
    kill_when_the_run_ends(sys.argv[1])
